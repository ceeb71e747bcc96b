package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server with two methods and returns it.
func serve(t *testing.T) *Server {
	t.Helper()
	s, err := Listen("127.0.0.1:0", filepath.Join(t.TempDir(), "cookie"), []Method{
		{"echo text", "TEXT", "answer the text", func(_ context.Context, p Params) (any, error) { return p.Text(0, "text") }},
		{"height", "HEIGHT", "answer the height", func(_ context.Context, p Params) (any, error) { return p.Height(0, "height") }},
		{"fail", "", "never work", func(context.Context, Params) (any, error) { return nil, errors.New("no luck") }},
	}, prometheus.NewRegistry(), Probe{"/good", func() []string { return nil }}, Probe{"/bad", func() []string { return []string{"no luck", "no time"} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.cookie); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the cookie is left behind: %v", err)
		}
	})
	return s
}

// post sends a body and returns status and answer.
func (s *Server) post(t *testing.T, user, password, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.Addr()+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

func TestServer_Calls(t *testing.T) {
	s := serve(t)
	batch := "[" + strings.Repeat(`{"method":"fail","id":1},`, MaxBatch) + `{"method":"fail","id":1}]`
	for _, c := range []struct{ name, body, want string }{
		{"subcommand as Dash's callers send it", `{"method":"echo","params":["text","hi"],"id":"x"}`, `{"result":"hi","error":null,"id":"x"}`},
		{"JSON-RPC 2.0", `{"jsonrpc":"2.0","method":"height","params":[-5],"id":1}`, `{"jsonrpc":"2.0","result":-5,"id":1}`},
		{"whole name", `{"jsonrpc":"2.0","method":"echo text","params":["a"],"id":1}`, `{"jsonrpc":"2.0","result":"a","id":1}`},
		{"our fault", `{"jsonrpc":"2.0","method":"fail","id":1}`, `{"jsonrpc":"2.0","error":{"code":-32603,"message":"no luck"},"id":1}`},
		{"our fault, old style", `{"method":"fail","id":1}`, `{"result":null,"error":{"code":-32603,"message":"no luck"},"id":1}`},
		{"batch", `[{"jsonrpc":"2.0","method":"height","params":[1],"id":1},{"jsonrpc":"2.0","method":"height","params":[2],"id":2}]`,
			`[{"jsonrpc":"2.0","result":1,"id":1},{"jsonrpc":"2.0","result":2,"id":2}]`},
		{"unknown method lists the known", `{"jsonrpc":"2.0","method":"nope","id":1}`,
			`{"jsonrpc":"2.0","error":{"code":-32601,"message":"no method \"nope\"; known: echo text, fail, height, help"},"id":1}`},
		{"missing parameter", `{"jsonrpc":"2.0","method":"height","id":1}`, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"height is missing; call it as: height HEIGHT"},"id":1}`},
		{"wrong type", `{"jsonrpc":"2.0","method":"height","params":["x"],"id":1}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"height must be a whole number of 32 bits, got \"x\"; call it as: height HEIGHT"},"id":1}`},
		{"too large a number", `{"jsonrpc":"2.0","method":"height","params":[4294967296],"id":1}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"height must be a whole number of 32 bits, got 4294967296; call it as: height HEIGHT"},"id":1}`},
		{"params not a list", `{"jsonrpc":"2.0","method":"height","params":7,"id":1}`, `"params must be an array: `},
		{"params by name", `{"jsonrpc":"2.0","method":"height","params":{"height":7},"id":1}`, `"code":-32602,"message":"params must be an array: parameters are told apart by their order`},
		{"params left out at the end", `{"jsonrpc":"2.0","method":"echo","params":["text","a",null,null],"id":1}`, `{"jsonrpc":"2.0","result":"a","id":1}`},
		{"null for a parameter", `{"jsonrpc":"2.0","method":"echo","params":["text",null,"a"],"id":1}`, `"message":"text is missing; call it as: echo text TEXT"`},
		{"a parameter where none is", `{"jsonrpc":"2.0","method":"fail","params":[1],"id":1}`,
			`{"jsonrpc":"2.0","error":{"code":-32602,"message":"1 parameters, but fail takes none"},"id":1}`},
		{"a group without its subcommand", `{"jsonrpc":"2.0","method":"echo","id":1}`, `"code":-32601,"message":"method \"echo\" wants a subcommand as its first parameter: echo text"`},
		{"a group with another", `{"jsonrpc":"2.0","method":"echo","params":["no"],"id":1}`, `"code":-32601,"message":"method \"echo\" wants a subcommand`},
		{"the method is no text", `{"jsonrpc":"2.0","method":7,"id":1}`, `"code":-32600`},
		{"the id is an object", `{"jsonrpc":"2.0","method":"fail","id":{}}`, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"id must be a string, a number or null"},"id":null}`},
		{"the id is null", `{"jsonrpc":"2.0","method":"height","params":[1],"id":null}`, `{"jsonrpc":"2.0","result":1,"id":null}`},
		{"a batch with what is no call and a notification", `[1,{"jsonrpc":"2.0","method":"height","params":[1]},{"jsonrpc":"2.0","method":"height","params":[2],"id":2}]`,
			`,{"jsonrpc":"2.0","result":2,"id":2}]`},
		{"a batch that is not JSON", `[{"jsonrpc":"2.0","method":"height"`, `"code":-32700`},
		{"not JSON", `{`, `{"result":null,"error":{"code":-32700,"message":"not JSON"},"id":null}`},
		{"nothing", ``, `{"result":null,"error":{"code":-32700,"message":"not JSON"},"id":null}`},
		{"not a call", `{"id":1}`, `"code":-32600`},
		{"wrong version", `{"jsonrpc":"3.0","method":"fail","id":1}`, `"code":-32600`},
		{"empty batch", `[]`, `batch of 0 calls, want 1 to 32`},
		{"long batch", batch, `batch of 33 calls, want 1 to 32`},
	} {
		status, got := s.post(t, cookieUser, s.password, c.body)
		if status != http.StatusOK || got != c.want && !(c.want[0] != '{' && c.want[0] != '[' && strings.Contains(got, c.want)) {
			t.Errorf("%s: %d %s, want %s", c.name, status, got, c.want)
		}
	}
	if status, got := s.post(t, cookieUser, s.password, `{"jsonrpc":"2.0","method":"height","params":[1]}`); status != http.StatusNoContent || got != "" {
		t.Errorf("a notification is answered %d %s", status, got)
	}
	notifications := `[{"jsonrpc":"2.0","method":"height","params":[1]},{"jsonrpc":"2.0","method":"nope"}]`
	if status, got := s.post(t, cookieUser, s.password, notifications); status != http.StatusNoContent || got != "" {
		t.Errorf("a batch of notifications is answered %d %s", status, got)
	}
}

func TestServer_KeepsOthersOut(t *testing.T) {
	s := serve(t)
	for _, c := range [][2]string{{"", ""}, {cookieUser, ""}, {cookieUser, s.password + "0"}, {"root", s.password}} {
		if status, text := s.post(t, c[0], c[1], `{"method":"fail"}`); status != http.StatusUnauthorized || strings.Contains(text, s.password) {
			t.Errorf("user %q: %d %s, want 401 without the password", c[0], status, text)
		}
	}
	if status, _ := s.post(t, cookieUser, s.password, strings.Repeat(" ", MaxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body is answered %d, want 413", status)
	}
	info, err := os.Stat(s.cookie)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cookie %v, %v; want mode 0600", info.Mode(), err)
	}
	for _, addr := range []string{"0.0.0.0:0", "8.8.8.8:1", ":0", "nonsense"} {
		if _, err := Listen(addr, s.cookie+"2", nil, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("listening on %q: %v, want an error that names it", addr, err)
		}
	}
	if _, err := Listen(s.Addr(), s.cookie+"2", nil, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("an address in use: %v", err)
	}
}

// Probes need no password, and say why not.
func TestServer_Probes(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{http.MethodGet, "/good", http.StatusOK, "[]"},
		{http.MethodGet, "/bad", http.StatusServiceUnavailable, `["no luck","no time"]`},
		{http.MethodHead, "/bad", http.StatusServiceUnavailable, ""},
		{http.MethodPost, "/good", http.StatusMethodNotAllowed, "Method Not Allowed"},
		{http.MethodGet, "/other", http.StatusNotFound, "404 page not found"},
		{http.MethodGet, "/", http.StatusMethodNotAllowed, "Method Not Allowed"},
	} {
		r, err := http.NewRequest(c.method, "http://"+s.Addr()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || strings.TrimSpace(string(body)) != c.body {
			t.Errorf("%s %s: %d %q, %v; want %d %q", c.method, c.path, response.StatusCode, body, err, c.status, c.body)
		}
	}
}

func TestServer_RateIsLimited(t *testing.T) {
	s := serve(t)
	var refused int
	for range callBurst/MaxBatch + 3 {
		calls := make([]string, MaxBatch)
		for i := range calls {
			calls[i] = fmt.Sprintf(`{"jsonrpc":"2.0","method":"height","params":[1],"id":%d}`, i)
		}
		_, text := s.post(t, cookieUser, s.password, "["+strings.Join(calls, ",")+"]")
		refused += strings.Count(text, "calls a second")
	}
	if refused == 0 {
		t.Errorf("%d calls at once and none refused", (callBurst/MaxBatch+3)*MaxBatch)
	}
}

func TestClient(t *testing.T) {
	s := serve(t)
	c := Client{Addr: s.Addr(), Cookie: s.cookie}
	var text string
	if err := c.Call(t.Context(), "echo text", &text, "hello"); err != nil || text != "hello" {
		t.Errorf("echo answers %q, %v", text, err)
	}
	if err := c.Call(t.Context(), "help", &text); err != nil || !strings.Contains(text, "height HEIGHT") {
		t.Errorf("help answers %q, %v", text, err)
	}
	if err := c.Call(t.Context(), "help", &text, "echo", "text"); err != nil || !strings.HasPrefix(text, "echo text TEXT") {
		t.Errorf("help echo text answers %q, %v", text, err)
	}
	var e *Error
	if err := c.Call(t.Context(), "fail", &text); !errors.As(err, &e) || e.Code != CodeInternal {
		t.Errorf("fail gives %v, want its error", err)
	}
	for name, bad := range map[string]Client{
		"no cookie": {Addr: s.Addr(), Cookie: s.cookie + "x"},
		"no node":   {Addr: "127.0.0.1:1", Cookie: s.cookie},
	} {
		if err := bad.Call(t.Context(), "fail", &text); err == nil || !strings.Contains(err.Error(), "does it run?") {
			t.Errorf("%s: %v, want a hint", name, err)
		}
	}
}

func FuzzServe(f *testing.F) {
	s := &Server{methods: map[string]Method{"help": {"help", "", "", func(context.Context, Params) (any, error) { return 1, nil }}}}
	s.limit = rate.NewLimiter(rate.Inf, 0)
	s.metrics = newMetrics(prometheus.NewRegistry(), s.methods)
	f.Add([]byte(`{"jsonrpc":"2.0","method":"help","params":[1],"id":1}`))
	f.Add([]byte(`[{"method":"help"},1]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := s.serve(context.Background(), body)
		if answer == nil {
			return
		}
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(answer); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	})
}
