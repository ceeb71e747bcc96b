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
	"strings"
)

// Client calls the methods of a node on this machine.
type Client struct {
	Addr   string // host:port of the node's API
	Cookie string // its cookie file
}

// Call calls a method, "platformban get" say, and decodes the result. Errors
// say what to do when the node does not run.
func (c Client) Call(ctx context.Context, method string, result any, params ...any) error {
	password, err := os.ReadFile(c.Cookie)
	if err != nil {
		return fmt.Errorf("read the password of the node: %w; does it run?", err)
	}
	name, sub, nested := strings.Cut(method, " ")
	if nested {
		params = append([]any{sub}, params...)
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": name, "params": params})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.Addr+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	user, pass, _ := strings.Cut(strings.TrimSpace(string(password)), ":")
	r.SetBasicAuth(user, pass)
	response, err := http.DefaultClient.Do(r)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the node at %s does not answer in time; it may be overloaded or stopped", c.Addr)
	case err != nil:
		return fmt.Errorf("call the node at %s: %w; does it run?", c.Addr, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.Addr, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the node at %s answers %s: %s", c.Addr, response.Status, strings.TrimSpace(string(text)))
	}
	var a struct {
		Result json.RawMessage `json:"result"`
		Error  *Error          `json:"error"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.Addr, err)
	}
	if a.Error != nil {
		return a.Error
	}
	return json.Unmarshal(a.Result, result)
}
