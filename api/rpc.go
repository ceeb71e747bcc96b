// Package api lets the operator of a node talk to it: JSON-RPC 2.0 over HTTP
// on a loopback address, with a password that stands in a file only the
// operator can read. Methods are named and called as Dash Core's are: a
// subcommand is the first parameter.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of a request.
const (
	MaxBody  = 64 << 10 // bytes
	MaxBatch = 32       // calls in one request
)

// Error codes of JSON-RPC 2.0.
const (
	CodeParse    = -32700 // not JSON
	CodeRequest  = -32600 // not a call
	CodeMethod   = -32601 // no such method
	CodeParams   = -32602 // parameters of the wrong number, type or value
	CodeInternal = -32603 // our fault
)

// CodeNotFound is Dash's code of a parameter that names nothing there is.
const CodeNotFound = -8

// Error is a failed call as the caller sees it.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Invalid is an error in the caller's parameters.
func Invalid(format string, args ...any) error {
	return &Error{CodeParams, fmt.Sprintf(format, args...)}
}

// NotFound is an error in parameters that name nothing there is.
func NotFound(format string, args ...any) error {
	return &Error{CodeNotFound, fmt.Sprintf(format, args...)}
}

// call is one request.
type call struct {
	Version *string         `json:"jsonrpc"` // "2.0"; older callers leave it out
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	ID      json.RawMessage `json:"id"`
}

func (c call) versionKnown() bool {
	return c.Version == nil || slices.Contains([]string{"1.0", "1.1", "2.0"}, *c.Version)
}

// identified reports whether the id is of a kind that an answer may repeat.
func (c call) identified() bool {
	return len(c.ID) == 0 || !slices.Contains([]byte("{[tf"), c.ID[0])
}

// notification reports whether no answer is wanted.
func (c call) notification() bool { return c.Version != nil && c.ID == nil }

// answer is one response. Dash's callers expect both result and error to be
// there, one of them null; JSON-RPC 2.0 wants only one. Each gets its own.
type answer struct {
	Version string          `json:"jsonrpc,omitempty"`
	Result  any             `json:"result"`
	Error   *Error          `json:"error"`
	ID      json.RawMessage `json:"id"`
}

// MarshalJSON leaves out result or error for callers of JSON-RPC 2.0.
func (a answer) MarshalJSON() ([]byte, error) {
	id := a.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	switch {
	case a.Version == "":
		return json.Marshal(struct {
			Result any             `json:"result"`
			Error  *Error          `json:"error"`
			ID     json.RawMessage `json:"id"`
		}{a.Result, a.Error, id})
	case a.Error != nil:
		return json.Marshal(struct {
			Version string          `json:"jsonrpc"`
			Error   *Error          `json:"error"`
			ID      json.RawMessage `json:"id"`
		}{a.Version, a.Error, id})
	default:
		return json.Marshal(struct {
			Version string          `json:"jsonrpc"`
			Result  any             `json:"result"`
			ID      json.RawMessage `json:"id"`
		}{a.Version, a.Result, id})
	}
}

// serve answers the body of a request; nil when no answer is wanted.
func (s *Server) serve(ctx context.Context, body []byte) any {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '[' {
		a := s.one(ctx, body)
		if a == nil {
			return nil
		}
		return a
	}
	var calls []json.RawMessage
	if err := json.Unmarshal(body, &calls); err != nil {
		return failed(call{}, &Error{CodeParse, "not JSON: " + err.Error()})
	}
	if len(calls) == 0 || len(calls) > MaxBatch {
		return failed(call{}, &Error{CodeRequest, fmt.Sprintf("batch of %d calls, want 1 to %d", len(calls), MaxBatch)})
	}
	var answers []*answer
	for _, c := range calls {
		if a := s.one(ctx, c); a != nil {
			answers = append(answers, a)
		}
	}
	if answers == nil {
		return nil
	}
	return answers
}

func (s *Server) one(ctx context.Context, raw []byte) *answer {
	var c call
	var syntax *json.SyntaxError
	err := json.Unmarshal(raw, &c)
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), len(raw) == 0:
		return failed(c, &Error{CodeParse, "not JSON"})
	case err != nil, c.Method == "", !c.versionKnown():
		return failed(c, &Error{CodeRequest, `not a call: want {"jsonrpc":"2.0","method":...,"params":[...],"id":...}`})
	case !c.identified():
		c.ID = nil
		return failed(c, &Error{CodeRequest, "id must be a string, a number or null"})
	}
	result, err := s.dispatch(ctx, c)
	switch {
	case c.notification():
		return nil
	case err != nil:
		return failed(c, asError(err))
	}
	return &answer{Version: c.version(), Result: result, ID: c.ID}
}

func (c call) version() string {
	if c.Version != nil && *c.Version == "2.0" {
		return "2.0"
	}
	return ""
}

func failed(c call, e *Error) *answer {
	return &answer{Version: c.version(), Error: e, ID: c.ID}
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{CodeInternal, err.Error()}
}

// Params are the positional parameters of a call.
type Params []json.RawMessage

func parseParams(raw json.RawMessage) (Params, error) {
	var p Params
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, Invalid("params must be an array: parameters are told apart by their order, not by names")
	}
	for len(p) > 0 && string(p[len(p)-1]) == "null" { // as Dash's callers leave out what comes last
		p = p[:len(p)-1]
	}
	return p, nil
}

// Count refuses a call with fewer or more parameters.
func (p Params) Count(least, most int) error {
	switch {
	case len(p) >= least && len(p) <= most:
		return nil
	case least == most:
		return Invalid("%d parameters, want %d", len(p), least)
	default:
		return Invalid("%d parameters, want %d to %d", len(p), least, most)
	}
}

// Text returns parameter i, a string; what names it in errors.
func (p Params) Text(i int, what string) (string, error) {
	var v string
	err := p.decode(i, what, "a string", &v)
	return v, err
}

// Height returns parameter i, an int32; what names it in errors.
func (p Params) Height(i int, what string) (int32, error) {
	var v int32
	err := p.decode(i, what, "a whole number of 32 bits", &v)
	return v, err
}

// Bool returns parameter i, true or false; what names it in errors.
func (p Params) Bool(i int, what string) (bool, error) {
	var v bool
	err := p.decode(i, what, "true or false", &v)
	return v, err
}

func (p Params) decode(i int, what, kind string, v any) error {
	if i >= len(p) || string(p[i]) == "null" {
		return Invalid("%s is missing", what)
	}
	if err := json.Unmarshal(p[i], v); err != nil {
		return Invalid("%s must be %s, got %.80s", what, kind, p[i])
	}
	return nil
}
