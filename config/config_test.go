package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

const somePeer = "/ip4/127.0.0.1/tcp/19850/p2p/12D3KooWAGtFe9y13iySpp74ABBqvfxDWopMc5pksiA2CQ3kb4N9"

// file writes a configuration and returns its path.
func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "proctor.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// values are all settings of c as text, by key.
func values(c Config) map[string]string {
	m := make(map[string]string)
	for _, s := range Settings() {
		m[s.Key] = s.Value(&c)
	}
	return m
}

// other is a value for every key that is right and not the default.
var other = map[string]string{
	"network":        "regtest",
	"genesis":        "/other/genesis.json",
	"data_dir":       "/other/data",
	"service_key":    "/other/key",
	"operator_key":   "/other/operator",
	"protx_hash":     strings.Repeat("ab", 32),
	"penalties":      "dry-run",
	"watch_quorums":  "true",
	"p2p.listen":     "/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/udp/1/quic-v1",
	"p2p.bootstrap":  somePeer,
	"p2p.announce":   "/dns4/example.org/tcp/1",
	"api.listen":     "127.0.0.1:9600",
	"api.cookie":     "/other/cookie",
	"metrics.listen": "[::1]:9500",
	"log.level":      "debug",
	"log.format":     "json",
}

func TestSettings_AreComplete(t *testing.T) {
	var keys, envs []string
	for _, s := range Settings() {
		if s.Help == "" {
			t.Errorf("%s has no help", s.Key)
		}
		kinds := 0
		for _, is := range []bool{s.text != nil, s.list != nil, s.flag != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s must be a text, a list or true or false", s.Key)
		}
		if want := "PROCTOR_" + strings.NewReplacer(".", "_").Replace(strings.ToUpper(s.Key)); s.Env() != want {
			t.Errorf("%s is set by %s, want %s", s.Key, s.Env(), want)
		}
		if _, ok := other[s.Key]; !ok {
			t.Errorf("%s is missing from this test", s.Key)
		}
		keys, envs = append(keys, s.Key), append(envs, s.Env())
	}
	slices.Sort(envs)
	if len(slices.Compact(envs)) != len(keys) {
		t.Errorf("two keys share an environment variable: %q", envs)
	}

	// Every field of Config is a setting, and the other way round.
	var fields []string
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := prefix + f.Tag.Get("toml")
			if f.Type.Kind() == reflect.Struct {
				walk(key+".", f.Type)
				continue
			}
			fields = append(fields, key)
		}
	}
	walk("", reflect.TypeFor[Config]())
	if !slices.Equal(fields, keys) {
		t.Errorf("fields %q\nsettings %q", fields, keys)
	}
}

func TestConfig_EncodeDecode(t *testing.T) {
	full := Default()
	for _, s := range Settings() {
		s.set(&full, other[s.Key])
	}
	for name, want := range map[string]Config{"default": Default(), "nothing": {}, "everything set": full} {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Settings() {
			section, key, deep := strings.Cut(s.Key, ".")
			if !deep {
				section, key = "", s.Key
			}
			if !strings.Contains(string(b), key+" = ") || !strings.Contains(string(b), section) {
				t.Errorf("%s: no %s in\n%s", name, s.Key, b)
			}
		}
		var got Config
		if err := toml.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, b)
		}
		if got, want := values(got), values(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q\nwant %q", name, got, want)
		}
	}
}

func TestLoad_Default(t *testing.T) {
	path := file(t, "")
	got, err := Load(path, Source{Environ: []string{"HOME=/root", "NOT_PROCTOR_X=1", "PROCTORLOG=1", "EMPTY"}})
	if err != nil {
		t.Fatal(err)
	}
	want := values(Default())
	for _, key := range []string{"genesis", "data_dir", "service_key", "operator_key", "api.cookie"} {
		want[key] = filepath.Join(filepath.Dir(path), want[key])
	}
	if got := values(got); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// A flag stands over the environment, which stands over the file, which
// stands over the default: for every key by itself.
func TestLoad_Precedence(t *testing.T) {
	for _, s := range Settings() {
		t.Run(s.Key, func(t *testing.T) {
			// Three right values, so that only the order decides.
			three := map[string][3]string{
				"network":        {"regtest", "dash-testnet", "dash-mainnet"},
				"protx_hash":     {strings.Repeat("01", 32), strings.Repeat("02", 32), strings.Repeat("03", 32)},
				"penalties":      {"dry-run", "enforce", "dry-run"},
				"watch_quorums":  {"true", "false", "true"},
				"p2p.listen":     {"/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/2", "/ip4/3.3.3.3/tcp/3"},
				"p2p.bootstrap":  {somePeer, "/ip4/2.2.2.2" + somePeer[len("/ip4/127.0.0.1"):], "/ip4/3.3.3.3" + somePeer[len("/ip4/127.0.0.1"):]},
				"p2p.announce":   {"/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/2", "/ip4/3.3.3.3/tcp/3"},
				"api.listen":     {"127.0.0.1:1", "127.0.0.1:2", ""},
				"metrics.listen": {"127.0.0.1:1", "127.0.0.1:2", ""},
				"log.level":      {"debug", "warn", "error"},
				"log.format":     {"json", "text", "json"},
			}
			v, ok := three[s.Key]
			if !ok { // a path
				v = [3]string{"/one", "/two", "/three"}
			}
			only := make(map[string]any) // a file that sets this key alone
			section, key, deep := strings.Cut(s.Key, ".")
			value := any(v[0])
			if s.list != nil {
				value = strings.Split(v[0], ",")
			}
			if s.flag != nil {
				value = v[0] == "true"
			}
			if deep {
				only[section] = map[string]any{key: value}
			} else {
				only[s.Key] = value
			}
			text, err := toml.Marshal(only)
			if err != nil {
				t.Fatal(err)
			}
			path := file(t, string(text))
			untouched := values(Default())
			for _, key := range []string{"genesis", "data_dir", "service_key", "operator_key", "api.cookie"} {
				untouched[key] = filepath.Join(filepath.Dir(path), untouched[key])
			}
			env, flag := []string{s.Env() + "=" + v[1]}, map[string]string{s.Key: v[2]}
			for _, c := range []struct {
				name string
				over Source
				want string
			}{
				{"file over default", Source{}, v[0]},
				{"environment over file", Source{Environ: env}, v[1]},
				{"flag over file", Source{Flags: flag}, v[2]},
				{"flag over environment", Source{Environ: env, Flags: flag}, v[2]},
			} {
				got, err := Load(path, c.over)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				if got := s.Value(&got); got != c.want {
					t.Errorf("%s: %q, want %q", c.name, got, c.want)
				}
				for key, value := range values(got) {
					if key != s.Key && value != untouched[key] {
						t.Errorf("%s: %s is %q, want %q", c.name, key, value, untouched[key])
					}
				}
			}
		})
	}
}

// A value may hold the sign that divides names from values.
func TestLoad_EnvironmentValueWithEqualsSign(t *testing.T) {
	c, err := Load(file(t, ""), Source{Environ: []string{"PROCTOR_DATA_DIR=/a=b"}})
	if err != nil || c.DataDir != "/a=b" {
		t.Errorf("data_dir %q, err %v, want /a=b", c.DataDir, err)
	}
}

// An empty value is a value: it takes away what the file says.
func TestLoad_EmptyValuesEmpty(t *testing.T) {
	path := file(t, "operator_key = 'voting.key'\n[p2p]\nbootstrap = ['"+somePeer+"']\n[metrics]\nlisten = '127.0.0.1:1'\n")
	c, err := Load(path, Source{Environ: []string{"PROCTOR_P2P_BOOTSTRAP=", "PROCTOR_OPERATOR_KEY="}, Flags: map[string]string{"metrics.listen": ""}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.P2P.Bootstrap) != 0 || c.Metrics.Listen != "" || c.OperatorKey != "" {
		t.Errorf("p2p.bootstrap %q, metrics.listen %q, operator_key %q, want none", c.P2P.Bootstrap, c.Metrics.Listen, c.OperatorKey)
	}
}

func TestLoad_Paths(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "node"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "genesis = '../genesis.json'\nservice_key = 'keys/service.key'\noperator_key = '../operator.key'\n"
	if err := os.WriteFile(filepath.Join(dir, "node", "proctor.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, path := range []string{"node/proctor.toml", "./node/../node/proctor.toml", filepath.Join(dir, "node", "proctor.toml")} {
		c, err := Load(path, Source{Flags: map[string]string{"data_dir": "/absolute/data"}})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{c.Genesis, c.ServiceKey, c.OperatorKey, c.DataDir}
		want := []string{filepath.Join(dir, "genesis.json"), filepath.Join(dir, "node", "keys", "service.key"), filepath.Join(dir, "operator.key"), "/absolute/data"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", path, got, want)
		}
	}
}

func TestLoad_Errors(t *testing.T) {
	many := strings.Repeat("'/ip4/1.1.1.1/tcp/1', ", maxAddresses+1)
	for _, c := range []struct {
		name  string
		text  string
		over  Source
		words []string
	}{
		{"unknown key", "\nbogus = 1\n", Source{}, []string{"line 2, column 1", `"bogus"`, knownKeys()}},
		{"unknown key of a section", "[p2p]\n\nbogus = 1\n", Source{}, []string{"line 3, column 1", `"p2p.bogus"`, knownKeys()}},
		{"unknown section", "[bogus]\nx = 1\n", Source{}, []string{"line 1", `"bogus"`, knownKeys()}},
		{"key of a section without it", "listen = ['/ip4/1.1.1.1/tcp/1']\n", Source{}, []string{"line 1", `"listen"`, knownKeys()}},
		{"unknown variable", "", Source{Environ: []string{"PROCTOR_BOGUS=hidden"}}, []string{"PROCTOR_BOGUS", knownKeys()}},
		{"variable in lower case", "", Source{Environ: []string{"PROCTOR_network=regtest"}}, []string{"PROCTOR_network", knownKeys()}},
		{"bare prefix", "", Source{Environ: []string{"PROCTOR_=1"}}, []string{"PROCTOR_ ", knownKeys()}},

		{"number for a text", "network = 5\n", Source{}, []string{"line 1, column 11", "network", "integer", "want a text"}},
		{"date for a text", "[log]\nlevel = 1979-05-27\n", Source{}, []string{"line 2", "log.level", "date", "want a text"}},
		{"list for a text", "network = ['devnet']\n", Source{}, []string{"line 1", "network", "array", "want a text"}},
		{"text for a list", "[p2p]\nlisten = '/ip4/1.1.1.1/tcp/1'\n", Source{}, []string{"line 2", "p2p.listen", "want a list of texts"}},
		{"text for true or false", "watch_quorums = 'true'\n", Source{}, []string{"line 1", "watch_quorums", "want true or false"}},
		{"variable neither true nor false", "", Source{Environ: []string{"PROCTOR_WATCH_QUORUMS=yes"}}, []string{"watch_quorums", `"yes"`, "neither true nor false"}},
		{"flag neither true nor false", "", Source{Flags: map[string]string{"watch_quorums": ""}}, []string{"watch_quorums", `""`, "neither true nor false"}},
		{"number in a list", "[p2p]\nlisten = [1]\n", Source{}, []string{"line 2", "p2p.listen", "integer", "want a list of texts"}},
		{"number for a section", "p2p = 3\n", Source{}, []string{"line 1", "p2p", "integer", "want a table"}},
		{"section for a text", "[network]\nx = 1\n", Source{}, []string{"line 1"}},
		{"list of sections", "[[p2p]]\nlisten = []\n", Source{}, []string{"line 1"}},
		{"no value", "network =\n", Source{}, []string{"line 1"}},
		{"key twice", "network = 'devnet'\nnetwork = 'devnet'\n", Source{}, []string{"line 2", "network", "already"}},
		{"no text file", "\xff\xfe\x00", Source{}, []string{"line 1, column 1"}},

		{"unknown network", "network = 'mainnet'\n", Source{}, []string{"network", `"mainnet"`, "devnet, regtest, dash-testnet, dash-mainnet"}},
		{"no genesis", "genesis = ''\n", Source{}, []string{"genesis is empty"}},
		{"no data_dir", "", Source{Flags: map[string]string{"data_dir": ""}}, []string{"data_dir is empty"}},
		{"number for operator_key", "operator_key = 5\n", Source{}, []string{"line 1", "operator_key", "integer", "want a text"}},
		{"no service_key", "", Source{Environ: []string{"PROCTOR_SERVICE_KEY="}}, []string{"service_key is empty"}},
		{"protx_hash short", "protx_hash = 'ab'\n", Source{}, []string{"protx_hash", `"ab"`, "2 characters", "64 hex digits"}},
		{"protx_hash not hex", "protx_hash = '" + strings.Repeat("z", 64) + "'\n", Source{}, []string{"protx_hash", "not hex"}},
		{"nowhere to listen", "[p2p]\nlisten = []\n", Source{}, []string{"p2p.listen is empty"}},
		{"listen on no multiaddress", "[p2p]\nlisten = ['0.0.0.0:1']\n", Source{}, []string{"p2p.listen", `"0.0.0.0:1"`, "/ip4/"}},
		{"listen on an empty text", "[p2p]\nlisten = ['']\n", Source{}, []string{"p2p.listen", `""`}},
		{"announce no multiaddress", "[p2p]\nannounce = ['example.org']\n", Source{}, []string{"p2p.announce", `"example.org"`, "/ip4/"}},
		{"bootstrap without an identity", "[p2p]\nbootstrap = ['/ip4/1.1.1.1/tcp/1']\n", Source{}, []string{"p2p.bootstrap", `"/ip4/1.1.1.1/tcp/1"`, "/p2p/ID"}},
		{"bootstrap with a wrong identity", "[p2p]\nbootstrap = ['/ip4/1.1.1.1/tcp/1/p2p/zz']\n", Source{}, []string{"p2p.bootstrap", "/p2p/zz", "/p2p/ID"}},
		{"bootstrap is no multiaddress", "[p2p]\nbootstrap = ['zz']\n", Source{}, []string{"p2p.bootstrap", `"zz"`, "/p2p/ID"}},
		{"too many addresses", "[p2p]\nlisten = [" + many + "]\n", Source{}, []string{"p2p.listen", "65 entries", "at most 64"}},
		{"metrics without a port", "[metrics]\nlisten = 'localhost'\n", Source{}, []string{"metrics.listen", `"localhost"`, "host:port"}},
		{"metrics on a port that is none", "[metrics]\nlisten = 'localhost:x'\n", Source{}, []string{"metrics.listen", `"localhost:x"`, "host:port", "65535"}},
		{"metrics on a port too large", "[metrics]\nlisten = 'localhost:65536'\n", Source{}, []string{"metrics.listen", `"localhost:65536"`, "host:port", "65535"}},
		{"unknown level", "[log]\nlevel = 'loud'\n", Source{}, []string{"log.level", `"loud"`, "debug, info, warn, error"}},
		{"unknown penalties", "penalties = 'harsh'\n", Source{}, []string{"penalties", `"harsh"`, "enforce, dry-run"}},
		{"unknown format", "[log]\nformat = 'xml'\n", Source{}, []string{"log.format", `"xml"`, "text, json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, c.text)
			_, err := Load(path, c.over)
			if err == nil {
				t.Fatalf("no error for\n%s", c.text)
			}
			wantWords(t, err, append(c.words, "config: ")...)
			for _, never := range []string{"hidden", "struct field", " toml:"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("%q in the error: %v", never, err)
				}
			}
		})
	}
}

func TestLoad_NoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.toml")
	_, err := Load(path, Source{})
	wantWords(t, err, path, "proctor demo --keep")
	_, err = Load(t.TempDir(), Source{})
	wantWords(t, err, "is a directory")
}

func wantWords(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %v", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}

func TestConfig_Peers(t *testing.T) {
	c := Default()
	quic := strings.Replace(somePeer, "tcp/19850", "udp/19850/quic-v1", 1)
	stranger := "/ip4/1.1.1.1/tcp/1/p2p/12D3KooWJE3wzezj4QxWvQZLcTTcD8QPWCFu9yYDjszRTQsmmsSK"
	c.P2P.Bootstrap = []string{somePeer, stranger, quic}
	peers, err := c.Peers()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, p := range peers {
		got[p.ID.String()] = len(p.Addrs)
	}
	want := map[string]int{somePeer[strings.LastIndex(somePeer, "/")+1:]: 2, stranger[strings.LastIndex(stranger, "/")+1:]: 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("addresses by peer %v, want %v", got, want)
	}
}

func TestConfig_Node(t *testing.T) {
	c := Default()
	if h, err := c.Node(); err != nil || !h.IsZero() {
		t.Errorf("observer: %s, %v, want the zero hash", h, err)
	}
	c.ProTxHash = strings.Repeat("ab", 31) + "cd"
	if h, err := c.Node(); err != nil || h.String() != c.ProTxHash {
		t.Errorf("%s, %v, want %s", h, err, c.ProTxHash)
	}
}

// Whatever stands in file, environment and flags: no panic, errors of one
// line, and what was loaded loads again as it is.
func FuzzLoad(f *testing.F) {
	def, err := Default().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(def), "PROCTOR_LOG_LEVEL=debug", "data_dir", "x")
	f.Add("", "PROCTOR_P2P_LISTEN=/ip4/1.1.1.1/tcp/1,", "p2p.bootstrap", somePeer)
	f.Add("[p2p]\nlisten = [1]", "PROCTOR_", "log.format", "json")
	f.Add("network.x = 1", "=", "metrics.listen", ":0")
	f.Add("[p2p.listen]\n[[log]]\na = {b = [", "PROCTOR_GENESIS", "genesis", "../../g")
	f.Add("protx_hash = '\\x00'\n\"p2p\".\"announce\" = [\"\"\"\n/unix/a,b\"\"\"]", "", "network", "regtest")
	path := filepath.Join(f.TempDir(), "proctor.toml")
	again := filepath.Join(filepath.Dir(path), "again.toml")
	f.Fuzz(func(t *testing.T, text, env, key, value string) {
		write := func(path string, b []byte) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(path, []byte(text))
		c, err := Load(path, Source{Environ: []string{env}, Flags: map[string]string{key: value}})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		for _, s := range Settings() {
			if v := s.Value(&c); s.path && !filepath.IsAbs(v) && !(s.none && v == "") {
				t.Errorf("%s is %q, want an absolute path", s.Key, s.Value(&c))
			}
			if !utf8.ValidString(s.Value(&c)) {
				return // a path may be, a TOML file may not
			}
		}
		b, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		write(again, b)
		got, err := Load(again, Source{})
		if err != nil {
			t.Fatalf("what was loaded does not load: %v\n%s", err, b)
		}
		if got, want := fmt.Sprint(values(got)), fmt.Sprint(values(c)); got != want {
			t.Errorf("loaded again %s\nwant %s", got, want)
		}
	})
}
