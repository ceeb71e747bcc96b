package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dispatch finds the method, whose subcommand may be the first parameter.
func (s *Server) dispatch(ctx context.Context, c call) (any, error) {
	if !s.limit.Allow() {
		s.metrics.refused.WithLabelValues("rate").Inc()
		return nil, &Error{CodeInternal, fmt.Sprintf("more than %d calls a second; try again", callsPerSecond)}
	}
	p, err := parseParams(c.Params)
	if err != nil {
		return nil, err
	}
	m, known := s.methods[c.Method]
	if !known && len(p) > 0 {
		var sub string
		if json.Unmarshal(p[0], &sub) == nil {
			m, known = s.methods[c.Method+" "+sub]
			p = p[1:]
		}
	}
	if !known {
		s.metrics.refused.WithLabelValues("method").Inc()
		return nil, s.unknown(c.Method)
	}
	result, err := m.call(ctx, p)
	s.metrics.called(m.Name, err)
	return result, err
}

// call calls m. What is wrong with the parameters is told with how they should
// be.
func (m Method) call(ctx context.Context, p Params) (any, error) {
	if m.Usage == "" && len(p) > 0 {
		return nil, Invalid("%d parameters, but %s takes none", len(p), m.Name)
	}
	result, err := m.Call(ctx, p)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == CodeParams && m.Usage != "" {
		return nil, Invalid("%s; call it as: %s", e.Message, m.signature())
	}
	return result, err
}

func (m Method) signature() string { return strings.TrimSpace(m.Name + " " + m.Usage) }

// unknown is the error of a call of no method. Of a group, as quorum is one, it
// lists the members.
func (s *Server) unknown(name string) *Error {
	names := s.names()
	group := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, name+" ") })
	if len(group) > 0 {
		return &Error{CodeMethod, fmt.Sprintf("method %q wants a subcommand as its first parameter: %s", name, strings.Join(group, ", "))}
	}
	return &Error{CodeMethod, fmt.Sprintf("no method %.80q; known: %s", name, strings.Join(names, ", "))}
}

func (s *Server) names() []string { return slices.Sorted(maps.Keys(s.methods)) }

// help lists the methods, or those that begin with the words asked for.
func (s *Server) help(_ context.Context, p Params) (any, error) {
	var words []string
	for i := range p {
		word, err := p.Text(i, "method")
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	asked := strings.Join(words, " ")
	var b strings.Builder
	for _, name := range s.names() {
		if asked == "" || name == asked || strings.HasPrefix(name, asked+" ") {
			m := s.methods[name]
			fmt.Fprintf(&b, "%s\n    %s\n", m.signature(), m.Help)
		}
	}
	if b.Len() == 0 {
		return nil, Invalid("no method %.80q; known: %s", asked, strings.Join(s.names(), ", "))
	}
	return b.String(), nil
}
