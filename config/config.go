// Package config reads a node's configuration: a TOML file, over which stand
// environment variables, over which stand flags. Every key exists in all
// three, and a key that does not exist is an error wherever it stands.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// EnvPrefix begins the environment variable of every key: p2p.listen is
// PROCTOR_P2P_LISTEN.
const EnvPrefix = "PROCTOR_"

// Config is a node's configuration. Paths are relative to the file's
// directory until Load has made them absolute.
type Config struct {
	Network     string  `toml:"network"`
	Genesis     string  `toml:"genesis"`
	DataDir     string  `toml:"data_dir"`
	ServiceKey  string  `toml:"service_key"`
	OperatorKey string  `toml:"operator_key"`
	ProTxHash   string  `toml:"protx_hash"`
	Penalties   string  `toml:"penalties"`
	Watch       bool    `toml:"watch_quorums"`
	P2P         P2P     `toml:"p2p"`
	API         API     `toml:"api"`
	Metrics     Metrics `toml:"metrics"`
	Log         Log     `toml:"log"`
}

// What happens to peers that offend.
const (
	Enforce = "enforce"
	DryRun  = "dry-run"
)

// P2P says how peers are met.
type P2P struct {
	Listen    []string `toml:"listen"`
	Bootstrap []string `toml:"bootstrap"`
	Announce  []string `toml:"announce"`
}

// API says where the operator's commands are taken.
type API struct {
	Listen string `toml:"listen"`
	Cookie string `toml:"cookie"`
}

// Metrics says where /metrics is served.
type Metrics struct {
	Listen string `toml:"listen"`
}

// Log says what is logged, on standard error.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Default returns the configuration that a file changes.
func Default() Config {
	return Config{
		Network:     "devnet",
		Genesis:     "genesis.json",
		DataDir:     "data",
		ServiceKey:  "service.key",
		OperatorKey: "operator.key",
		Penalties:   Enforce,
		P2P:         P2P{Listen: []string{"/ip4/0.0.0.0/udp/19850/quic-v1", "/ip4/0.0.0.0/tcp/19850"}},
		API:         API{Listen: "127.0.0.1:9465", Cookie: "api.cookie"},
		Metrics:     Metrics{Listen: "127.0.0.1:9464"},
		Log:         Log{Level: "info", Format: "text"},
	}
}

// Setting is one key of the configuration, wherever it is set.
type Setting struct {
	Key  string
	Help string

	text func(*Config) *string   // where it is stored, if it is one text
	list func(*Config) *[]string // or if it is a list
	flag func(*Config) *bool     // or if it is true or false
	path bool                    // names a file or directory
	none bool                    // a path that may be empty, for no file
}

// Settings lists every key in the order of the documentation.
func Settings() []Setting {
	return []Setting{
		{Key: "network", Help: "network the genesis must be of: devnet, regtest, dash-testnet or dash-mainnet", text: func(c *Config) *string { return &c.Network }},
		{Key: "genesis", Help: "genesis file, the same on every node", path: true, text: func(c *Config) *string { return &c.Genesis }},
		{Key: "data_dir", Help: "directory of the database", path: true, text: func(c *Config) *string { return &c.DataDir }},
		{Key: "service_key", Help: "file of the Ed25519 service key, mode 0600", path: true, text: func(c *Config) *string { return &c.ServiceKey }},
		{Key: "operator_key", Help: "file of the BLS operator key, mode 0600; empty for a node that never votes", path: true, none: true, text: func(c *Config) *string { return &c.OperatorKey }},
		{Key: "protx_hash", Help: "service node this is, 64 hex digits; empty for an observer", text: func(c *Config) *string { return &c.ProTxHash }},
		{Key: "penalties", Help: "enforce, or dry-run: peers' offences are counted and shown, and nobody is refused for them", text: func(c *Config) *string { return &c.Penalties }},
		{Key: "watch_quorums", Help: "true, or false: follow how quorums are made, also those that this node is no member of", flag: func(c *Config) *bool { return &c.Watch }},
		{Key: "p2p.listen", Help: "multiaddresses to listen on", list: func(c *Config) *[]string { return &c.P2P.Listen }},
		{Key: "p2p.bootstrap", Help: "multiaddresses of peers to connect to, ending in /p2p/ID", list: func(c *Config) *[]string { return &c.P2P.Bootstrap }},
		{Key: "p2p.announce", Help: "multiaddresses told to peers; empty for those listened on", list: func(c *Config) *[]string { return &c.P2P.Announce }},
		{Key: "api.listen", Help: "host:port of the operator's commands, on the loopback interface; empty for none", text: func(c *Config) *string { return &c.API.Listen }},
		{Key: "api.cookie", Help: "file that the password of the commands is written to", path: true, text: func(c *Config) *string { return &c.API.Cookie }},
		{Key: "metrics.listen", Help: "host:port of /metrics; empty for none", text: func(c *Config) *string { return &c.Metrics.Listen }},
		{Key: "log.level", Help: "debug, info, warn or error", text: func(c *Config) *string { return &c.Log.Level }},
		{Key: "log.format", Help: "text or json", text: func(c *Config) *string { return &c.Log.Format }},
	}
}

// Env is the environment variable of the setting.
func (s Setting) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Value returns the setting in c as text; the entries of a list are joined by commas.
func (s Setting) Value(c *Config) string {
	switch {
	case s.text != nil:
		return *s.text(c)
	case s.flag != nil:
		return strconv.FormatBool(*s.flag(c))
	default:
		return strings.Join(*s.list(c), ",")
	}
}

func (s Setting) set(c *Config, value string) error {
	switch {
	case s.text != nil:
		*s.text(c) = value
	case s.flag != nil:
		if value != "true" && value != "false" {
			return fmt.Errorf("config: %s: %.80q is neither true nor false", s.Key, value)
		}
		*s.flag(c) = value == "true"
	case value == "":
		*s.list(c) = nil
	default:
		*s.list(c) = strings.Split(value, ",")
	}
	return nil
}

// Source is where a value that stands over the file's comes from.
type Source struct {
	Environ []string          // "NAME=value", as os.Environ returns it
	Flags   map[string]string // by key; only those that were given
}

// Load reads the file at path and what stands over it, and checks the result.
func Load(path string, over Source) (Config, error) {
	c := Default()
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("config: %w; write one as docs/configuration.md shows, or let `proctor demo --keep DIR` write some", err)
	}
	d := toml.NewDecoder(strings.NewReader(string(raw))).DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("config: %s: %w", path, explain(err))
	}
	if err := c.overrule(over); err != nil {
		return c, err
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	for _, s := range Settings() {
		if v := s.Value(&c); s.path && v != "" && !filepath.IsAbs(v) {
			*s.text(&c) = filepath.Join(dir, v)
		}
	}
	return c, nil
}

// explain turns the decoder's errors into one line with a place.
func explain(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		e := unknown.Errors[0]
		line, column := e.Position()
		return fmt.Errorf("line %d, column %d: key %q is unknown; known: %s", line, column, strings.Join(e.Key(), "."), knownKeys())
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		text := strings.TrimPrefix(bad.Error(), "toml: ")
		if what, _, typed := strings.Cut(text, " into struct field "); typed { // which names our types, not the user's
			text = fmt.Sprintf("%s: %s, want %s", strings.Join(bad.Key(), "."), what, wanted(bad.Key()))
		}
		return fmt.Errorf("line %d, column %d: %s", line, column, text)
	}
	return err
}

// wanted says what stands after a key.
func wanted(key []string) string {
	settings := Settings()
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == strings.Join(key, ".") })
	switch {
	case i < 0:
		return "a table of keys"
	case settings[i].list != nil:
		return "a list of texts in quotes"
	case settings[i].flag != nil:
		return "true or false"
	default:
		return "a text in quotes"
	}
}

func knownKeys() string {
	var keys []string
	for _, s := range Settings() {
		keys = append(keys, s.Key)
	}
	return strings.Join(keys, ", ")
}

// overrule sets what environment and flags say.
func (c *Config) overrule(over Source) error {
	settings := Settings()
	for _, entry := range over.Environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		i := slices.IndexFunc(settings, func(s Setting) bool { return s.Env() == name })
		if i < 0 {
			return fmt.Errorf("config: environment variable %s sets no key; known: %s", name, knownKeys())
		}
		if err := settings[i].set(c, value); err != nil {
			return err
		}
	}
	for _, s := range settings {
		if value, given := over.Flags[s.Key]; given {
			if err := s.set(c, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// Encode returns c as a file.
func (c Config) Encode() ([]byte, error) { return toml.Marshal(c) }
