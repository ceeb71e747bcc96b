package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// field is a name in snake_case and what stands under it.
type field struct {
	name  string
	value any
}

// fields are what is shown of a message, in its order.
type fields []field

// MarshalJSON makes an object that keeps the order.
func (f fields) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(fmt.Appendf(b, "%q", x.name), ':')
		value, err := json.Marshal(x.value)
		if err != nil {
			return nil, err
		}
		b = append(b, value...)
	}
	return append(b, '}'), nil
}

// show prints what JSON can say: as JSON, or for people as a line for each
// name and value, what stands under another indented.
func show(w io.Writer, v any, asJSON bool) error {
	if asJSON {
		return printJSON(w, v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p := outline{d: json.NewDecoder(bytes.NewReader(text))}
	p.d.UseNumber()
	if _, err := p.d.Token(); err != nil { // the outermost bracket has no line
		return err
	}
	if err := p.members(0); err != nil {
		return err
	}
	_, err = w.Write(p.text.Bytes())
	return err
}

const (
	outlineColumn = 22 // where values begin
	outlineIndent = 2
)

// outline turns the tokens of JSON into lines.
type outline struct {
	d    *json.Decoder
	text bytes.Buffer
}

// members prints the rest of an object or a list, with its closing bracket.
func (p *outline) members(depth int) error {
	for i := 0; ; i++ {
		name, err := p.d.Token()
		if err != nil {
			return err
		}
		if name == json.Delim('}') {
			return nil
		}
		if err := p.value(depth, name.(string)); err != nil { // a name is a string
			return err
		}
	}
}

// value prints one value under its name, or its number in a list.
func (p *outline) value(depth int, name string) error {
	start := p.text.Len()
	token, err := p.d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		p.line(depth, name, "")
		return p.members(depth + 1)
	case json.Delim('['):
		n := 0
		for ; p.d.More(); n++ {
			if err := p.value(depth+1, fmt.Sprint(n)); err != nil {
				return err
			}
		}
		below := bytes.Clone(p.text.Bytes()[start:])
		p.text.Truncate(start)
		p.line(depth, name, fmt.Sprint(n)) // a list is headed by its length
		p.text.Write(below)
		_, err = p.d.Token()
		return err
	case "", nil:
		p.line(depth, name, "-")
	default:
		p.line(depth, name, fmt.Sprint(token))
	}
	return nil
}

func (p *outline) line(depth int, name, value string) {
	indent := depth * outlineIndent
	line := fmt.Sprintf("%*s%-*s %s", indent, "", outlineColumn-1-indent, name, value)
	p.text.WriteString(strings.TrimRight(line, " ") + "\n")
}
