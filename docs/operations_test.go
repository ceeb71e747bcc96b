package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/store"
)

const (
	operations = "operations.md"
	unitFile   = "../deploy/systemd/proctor.service"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	alertRule = regexp.MustCompile(`(?s)- alert: (\w+)\n(.*?summary: "([^"]*)")`)
	severity  = regexp.MustCompile(`severity: (\w+)`)
	variable  = regexp.MustCompile(`\{\{[^}]*\}\}`)
)

// alerts are those of the rules that every network gets.
func alerts(t *testing.T) [][]string {
	text := read(t, "../deploy/cluster/prometheus/alerts.yml")
	rows := [][]string{{"Alert", "Severity", "Says"}}
	for _, m := range alertRule.FindAllStringSubmatch(text, -1) {
		says := strings.ReplaceAll(m[3], "{{ $labels.instance }}", "the node")
		rows = append(rows, []string{
			fmt.Sprintf("[%[1]s](runbooks/%[1]s.md)", m[1]), severity.FindStringSubmatch(m[2])[1], variable.ReplaceAllString(says, "N"),
		})
	}
	if n := strings.Count(text, "- alert: "); len(rows) != n+1 {
		t.Errorf("%d of %d alerts can be read", len(rows)-1, n)
	}
	return rows
}

// The page shows what a database of another version, or one in use, is
// refused with.
func TestOperations_Refused(t *testing.T) {
	page := read(t, operations)
	_, part, _ := strings.Cut(page, "<!-- refused -->\n")
	part, _, found := strings.Cut(part, "<!-- /refused -->")
	if !found {
		t.Fatalf("%s has no place for refusals", operations)
	}
	lines := strings.Split(strings.TrimSpace(part), "\n")
	for i, version := range []int{store.SchemaVersion - 1, store.SchemaVersion + 1, store.SchemaVersion} {
		dir := filepath.Join(t.TempDir(), "data")
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		// The schema version is the record under the single byte 0.
		if err := s.Commit([]engine.Write{{Kind: 0, Value: fmt.Append(nil, version)}}); err != nil {
			t.Fatal(err)
		}
		if version != store.SchemaVersion {
			s.Close()
		}
		_, err = store.Open(dir)
		if err == nil {
			t.Fatalf("schema version %d is taken", version)
		}
		said := "proctor: " + strings.ReplaceAll(err.Error(), dir, "/var/lib/proctor/data")
		want := strings.TrimSpace(lines[i])
		before, after, open := strings.Cut(want, "...")
		if said != want && !(open && strings.HasPrefix(said, before) && strings.HasSuffix(said, after)) {
			t.Errorf("%s shows\n%s\nwant\n%s", operations, want, said)
		}
		s.Close()
	}
}

// example is the configuration that the page shows.
func exampleConfig(t *testing.T) config.Config {
	t.Helper()
	_, part, found := strings.Cut(read(t, operations), `    network = "devnet"`+"\n")
	if !found {
		t.Fatalf("%s shows no configuration", operations)
	}
	text := `network = "devnet"` + "\n"
	for line := range strings.Lines(part) {
		inside, indented := strings.CutPrefix(line, "    ")
		if !indented && strings.TrimSpace(line) != "" {
			break
		}
		text += strings.TrimPrefix(inside, "    ")
	}
	path := filepath.Join(t.TempDir(), "proctor.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, config.Source{})
	if err != nil {
		t.Fatalf("the configuration that %s shows: %v\n%s", operations, err, text)
	}
	return c
}

// unit reads the settings of a unit by section and key; a key that is given
// more than once has as many values.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	settings := make(map[string][]string)
	section := ""
	for n, line := range strings.Split(read(t, unitFile), "\n") {
		line = strings.TrimSpace(line)
		key, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line
		case isSetting && section != "":
			settings[section+key] = append(settings[section+key], value)
		default:
			t.Errorf("%s:%d: %q is neither section nor setting", unitFile, n+1, line)
		}
	}
	return settings
}

// unitKeys are those of systemd that are in use here, so that a mistyped one
// is found where no systemd is: it would be ignored with a warning.
var unitKeys = []string{
	"[Unit]Description", "[Unit]Documentation", "[Unit]Wants", "[Unit]After", "[Unit]StartLimitIntervalSec", "[Unit]StartLimitBurst",
	"[Service]Type", "[Service]User", "[Service]Group", "[Service]ExecStart", "[Service]Restart", "[Service]RestartSec", "[Service]RestartPreventExitStatus",
	"[Service]TimeoutStopSec", "[Service]StateDirectory", "[Service]StateDirectoryMode", "[Service]RuntimeDirectory", "[Service]RuntimeDirectoryMode",
	"[Service]UMask", "[Service]ProtectSystem", "[Service]ProtectHome", "[Service]PrivateTmp", "[Service]PrivateDevices", "[Service]NoNewPrivileges",
	"[Service]CapabilityBoundingSet", "[Service]RestrictAddressFamilies", "[Service]RestrictNamespaces", "[Service]RestrictRealtime",
	"[Service]RestrictSUIDSGID", "[Service]RemoveIPC", "[Service]LockPersonality", "[Service]MemoryDenyWriteExecute", "[Service]ProtectClock",
	"[Service]ProtectControlGroups", "[Service]ProtectHostname", "[Service]ProtectKernelLogs", "[Service]ProtectKernelModules",
	"[Service]ProtectKernelTunables", "[Service]ProtectProc", "[Service]SystemCallArchitectures", "[Service]SystemCallFilter",
	"[Service]SystemCallErrorNumber", "[Service]LimitNOFILE", "[Install]WantedBy",
}

func TestUnit(t *testing.T) {
	got := unit(t)
	for key := range got {
		if !slices.Contains(unitKeys, key) {
			t.Errorf("%s: nobody has looked up %s", unitFile, key)
		}
	}
	want := func(key, value string) {
		t.Helper()
		if strings.Join(got["[Service]"+key], " ") != value {
			t.Errorf("%s is %q, want %q", key, got["[Service]"+key], value)
		}
	}
	for _, key := range []string{"NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute"} {
		want(key, "true")
	}
	want("ProtectSystem", "strict")
	want("CapabilityBoundingSet", "")
	want("Restart", "on-failure")

	args := strings.Fields(got["[Service]ExecStart"][0])
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	exists(t, path, args[1:])

	// What the configuration names to write to is what the unit lets it write.
	c := exampleConfig(t)
	if dir := "/var/lib/" + got["[Service]StateDirectory"][0] + "/"; !strings.HasPrefix(c.DataDir, dir) {
		t.Errorf("data_dir is %s, and the unit lets it write to %s", c.DataDir, dir)
	}
	if dir := "/run/" + got["[Service]RuntimeDirectory"][0] + "/"; !strings.HasPrefix(c.API.Cookie, dir) {
		t.Errorf("api.cookie is %s, and the unit lets it write to %s", c.API.Cookie, dir)
	}
	if page := read(t, operations); !strings.Contains(page, "This is `"+args[3]+"`") || !strings.Contains(page, args[0]+"\n") {
		t.Errorf("%s speaks of other files than %s", operations, args)
	}

	// It is not restarted for what an operator has to mend, and for nothing else.
	unusable := exec.Command(path, "run", "--config", filepath.Join(t.TempDir(), "none.toml"))
	if unusable.Run(); fmt.Sprint(unusable.ProcessState.ExitCode()) != got["[Service]RestartPreventExitStatus"][0] {
		t.Errorf("a configuration that is not there ends with %d, the unit is not restarted after %s", unusable.ProcessState.ExitCode(), got["[Service]RestartPreventExitStatus"])
	}
}

// Where systemd is, it says what it thinks.
func TestUnit_Systemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here; TestUnit reads the unit everywhere")
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "proctor.service")
	text := strings.ReplaceAll(read(t, unitFile), "/usr/local/bin/proctor", path) // it must be there
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// A command begins a line that is indented, or stands in code; sudo may come
// before.
var inPassing = regexp.MustCompile("(?m)(?:^    (?:sudo -u proctor )?|`)proctor ([^`\n]+)")

// Commands that the page shows exist, with their flags.
func TestOperations_Commands(t *testing.T) {
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	list := inPassing.FindAllStringSubmatch(read(t, operations), -1)
	if len(list) < 20 {
		t.Errorf("%s shows %d commands", operations, len(list))
	}
	for _, m := range list {
		exists(t, path, strings.Fields(m[1]))
	}
}
