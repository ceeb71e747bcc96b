package docs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shown is a command of a page, and the lines that it is said to print.
type shown struct {
	command string
	output  []string
}

// commandsOf reads what a page shows under a heading: lines that are indented,
// those that are typed behind a dollar.
func commandsOf(t *testing.T, file, heading string) (list []shown) {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	for line := range strings.Lines(part) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		if !indented {
			continue
		}
		if command, typed := strings.CutPrefix(text, "$ "); typed {
			list = append(list, shown{command: command})
		} else if n := len(list); n > 0 {
			list[n-1].output = append(list[n-1].output, text)
		} else {
			t.Errorf("%s shows %q, which no command printed", file, text)
		}
	}
	return list
}

// varies is what differs from run to run: hashes, numbers, durations.
var varies = regexp.MustCompile(`\b(?:[0-9a-f]{8,}|[0-9][0-9.]*(?:ms|µs|m[0-9.]+s|s|h)?)\b|-[0-9]+\b`)

// pattern matches a line like that one: of the same words, with any numbers,
// and with anything in place of dots.
func pattern(line string) *regexp.Regexp {
	var parts []string
	for i, part := range strings.Split(line, "...") {
		var b strings.Builder
		if i > 0 {
			b.WriteString(`.*`)
		}
		words := strings.Fields(varies.ReplaceAllString(part, "\x00"))
		for j, word := range words {
			if j > 0 {
				b.WriteString(`\s+`)
			}
			b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(word), "\x00", `-?[0-9a-f][0-9a-fmsµh.]*`))
		}
		parts = append(parts, b.String())
	}
	return regexp.MustCompile(`^\s*` + strings.Join(parts, `\s*`) + `\s*$`)
}

// missing is the first line that is shown and was not printed, in this order;
// empty if all were.
func (s shown) missing(printed string) string {
	lines := strings.Split(printed, "\n")
	for _, want := range s.output {
		if text := strings.TrimSpace(want); text == "" || text == "..." {
			continue
		}
		i := slices.IndexFunc(lines, pattern(want).MatchString)
		if i < 0 {
			return want
		}
		lines = lines[i+1:]
	}
	return ""
}

func TestShown_Missing(t *testing.T) {
	page := shown{output: []string{"height 7, 1.4s old; final 3", "...", "evo-1  active  85  ...", "1 of 2 in 1m17.3s", "block 6859aabb"}}
	good := "height 129, 20ms old; final 99\nmore\nevo-1   active 3   -  flag set\n4 of 4 in 980ms\nblock 00000000\n"
	if m := page.missing(good); m != "" {
		t.Errorf("misses %q", m)
	}
	for _, c := range []struct{ old, new, want string }{
		{"height", "depth", page.output[0]},
		{"final 99", "final", page.output[0]},
		{"evo-1 ", "evo-x ", page.output[2]},
		{"980ms", "980ms later", page.output[3]},
		{"block 00000000", "block none", page.output[4]},
		{"more\n", "1 of 2 in 1m17.3s\n", ""},
	} {
		if m := page.missing(strings.Replace(good, c.old, c.new, 1)); m != c.want {
			t.Errorf("with %q for %q it misses %q, want %q", c.new, c.old, m, c.want)
		}
	}
}

var builtIn string // directory of the binary

// built is the binary of this tree, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(builtIn, "proctor")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/node").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if builtIn, err = os.MkdirTemp("", "proctor-docs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(builtIn)
	os.Exit(code)
}

// session is a shell that commands are typed into.
type session struct {
	t      *testing.T
	stdin  io.Writer
	stdout *bufio.Reader
}

const endOfCommand = "-- that was it, exit code"

func newSession(t *testing.T, dir string) *session {
	t.Helper()
	c := exec.Command("bash", "--norc")
	c.Dir = dir
	c.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PROCTOR_") })
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, stdin: stdin, stdout: bufio.NewReader(stdout)}
	killer := time.AfterFunc(5*time.Minute, func() { c.Process.Kill() })
	t.Cleanup(func() { // whatever the page forgot to stop
		fmt.Fprintln(s.stdin, "kill $(jobs -p) 2>/dev/null; wait")
		stdin.Close()
		io.Copy(io.Discard, s.stdout)
		c.Wait()
		killer.Stop()
	})
	return s
}

// run returns what a command printed, and its exit code.
func (s *session) run(command string) (printed, code string) {
	s.t.Helper()
	fmt.Fprintf(s.stdin, "{ %s\n} 2>&1 </dev/null; echo \"%s $?\"\n", command, endOfCommand)
	var b bytes.Buffer
	for {
		line, err := s.stdout.ReadString('\n')
		if err != nil {
			s.t.Fatalf("$ %s\n%s: %v", command, b.String(), err)
		}
		if code, done := strings.CutPrefix(line, endOfCommand+" "); done {
			return b.String(), strings.TrimSpace(code)
		}
		b.WriteString(line)
	}
}

// What needs a while to be as the page shows is asked for again.
const patience = time.Minute

func (s *session) await(c shown) {
	s.t.Helper()
	var failure string // the first one: a demo leaves a directory that the next refuses
	for since := time.Now(); ; time.Sleep(300 * time.Millisecond) {
		printed, code := s.run(c.command)
		lacks := c.missing(printed)
		if lacks == "" && code == "0" {
			return
		}
		if failure == "" {
			failure = fmt.Sprintf("$ %s\n%s\nexit code %s; no line like %q", c.command, printed, code, lacks)
		}
		if time.Since(since) > patience {
			s.t.Fatalf("at first\n%s\nafter %s exit code %s, no line like %q in\n%s", failure, patience, code, lacks, printed)
		}
	}
}

// TestQuickstart types the commands of the laptop's path as they stand.
func TestQuickstart(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("the demo takes more than a minute; the binary runs without the race detector")
	}
	t.Parallel()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(dir, "bin", "proctor")); err != nil {
		t.Fatal(err)
	}
	list := commandsOf(t, "quickstart.md", "On a laptop, without containers")
	if list[0].command != "go build -o bin/proctor ./cmd/node" {
		t.Fatalf("it begins with %q, want the build", list[0].command)
	}
	s := newSession(t, dir)
	for _, c := range list[1:] {
		s.await(c)
	}
}

// TestQuickstart_Containers holds the other path to commands that exist: its
// network is written here, and started by deploy/check.sh.
func TestQuickstart_Containers(t *testing.T) {
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	check, err := os.ReadFile("../deploy/check.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range commandsOf(t, "quickstart.md", "In containers") {
		args := strings.Fields(c.command)
		if args[0] != "proctor" {
			if c.command != "make image" {
				t.Errorf("nobody knows whether %q works", c.command)
			}
			continue
		}
		exists(t, path, args[1:])
		name := strings.Join(args[1:3], " ")
		if !strings.Contains(string(check), `"$proctor" `+name+" ") {
			t.Errorf("deploy/check.sh never calls %q", name)
		}
		if name != "testnet init" {
			continue
		}
		cmd := exec.Command(path, args[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if lacks := c.missing(string(out)); err != nil || lacks != "" {
			t.Errorf("$ %s\n%s%v; no line like %q", c.command, out, err, lacks)
		}
	}
}

// exists fails the test unless there is such a command with such flags.
func exists(t *testing.T, path string, args []string) {
	t.Helper()
	out, err := exec.Command(path, append(slices.Clone(args), "--help")...).CombinedOutput()
	if err != nil {
		t.Errorf("proctor %s: %v\n%s", strings.Join(args, " "), err, out)
		return
	}
	_, usage, _ := strings.Cut(string(out), "Usage:\n")
	usage, _, _ = strings.Cut(usage, "\n")
	words := strings.Fields(usage)
	for i, want := range words[1:] { // up to the first parameter
		if strings.ToLower(want) != want || strings.ContainsAny(want[:1], "[-") {
			break
		}
		if i >= len(args) || args[i] != want {
			t.Errorf("proctor %s is no command; there is %q", strings.Join(args, " "), strings.TrimSpace(usage))
			return
		}
	}
}
