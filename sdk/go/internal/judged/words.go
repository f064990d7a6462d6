package judged

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// step is one thing to do, as JSON has it.
type step map[string]any

func steps(value any) []step {
	list, _ := value.([]any)
	all := make([]step, 0, len(list))
	for _, each := range list {
		one, ok := each.(map[string]any)
		if !ok {
			panic(fmt.Sprintf("a step that is no object: %v", each))
		}
		all = append(all, one)
	}
	return all
}

func (s step) text(name string) string {
	text, _ := s[name].(string)
	return text
}

func (s step) texts(name string) []string {
	list, _ := s[name].([]any)
	texts := make([]string, 0, len(list))
	for _, each := range list {
		texts = append(texts, fmt.Sprint(each))
	}
	return texts
}

// number is 0 where there is none.
func (s step) number(name string) int {
	number, _ := s[name].(float64)
	return int(number)
}

// data is text, or bytes: given, or so many of a pattern.
func (s step) data() []byte {
	if digits := s.text("hex"); digits != "" {
		data, err := hex.DecodeString(digits)
		if err != nil {
			panic(err)
		}
		return data
	}
	if text := s.text("text"); text != "" {
		return []byte(text)
	}
	return bytes.Repeat([]byte("0123456789abcdef"), s.number("size")/16)
}

func joined(texts []string) string { return strings.Join(texts, ",") }

var initialized struct {
	sync.Mutex
	configs []map[string]any
}

// initialize takes {"sleep_ms": …}, which is how long it takes, and {"fail": true}.
func initialize(config map[string]any) {
	if config == nil {
		config = map[string]any{}
	}
	initialized.Lock()
	initialized.configs = append(initialized.configs, config)
	initialized.Unlock()
	say(map[string]any{"initialize": config})
	time.Sleep(time.Duration(step(config).number("sleep_ms")) * time.Millisecond)
	if config["fail"] == true {
		panic("asked to fail")
	}
}

// readings is what the readers of request and response say.
func (c *at) readings(names []string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		kind, argument, _ := strings.Cut(name, ":")
		switch kind {
		case "header":
			out[name] = shown(c.request.Header(argument))
		case "values":
			out[name] = c.request.Headers().Values(argument)
		case "response_header":
			out[name] = shown(c.response.Headers()[strings.ToLower(argument)])
		default:
			out[name] = c.reading(name)
		}
	}
	return out
}

func (c *at) reading(name string) any {
	switch name {
	case "method":
		return c.request.Method()
	case "url":
		return c.request.URL()
	case "path":
		return c.request.Path()
	case "query":
		return c.request.Query()
	case "params":
		return c.request.Params()
	case "host":
		return c.request.Host()
	case "client_ip":
		return c.request.ClientIP()
	case "headers":
		return allShown(c.request.Headers().GetAll())
	case "bytes":
		return c.request.Bytes()
	case "timestamp":
		return c.request.Timestamp()
	case "payload":
		return c.payload
	case "request_id":
		return c.request.ID()
	case "phase":
		return c.name
	case "session":
		return c.phase.SessionUID()
	case "status":
		return c.response.Status()
	case "response_headers":
		return allShown(c.response.Headers())
	case "response_bytes":
		return c.response.Bytes()
	case "duration":
		return c.response.Duration()
	case "error":
		if text := c.response.Error(); text != "" {
			return text
		}
		return nil
	case "initialized":
		initialized.Lock()
		defer initialized.Unlock()
		return append([]map[string]any{}, initialized.configs...)
	default:
		panic("nobody reads " + name)
	}
}

// note is a line that the judge reads.
func (c *at) note(what []string, more map[string]any) {
	seen := map[string]any{"phase": c.name, "id": c.id, "host": c.host}
	maps.Copy(seen, c.readings(what))
	maps.Copy(seen, more)
	say(seen)
}

var output sync.Mutex

func say(values map[string]any) {
	output.Lock()
	defer output.Unlock()
	fmt.Fprintf(os.Stdout, "NOTE %s\n", jsonOf(values))
}

// shown is text as JSON can have it: bytes that are no UTF-8 are taken for Latin-1, as the SDK for Python does.
func shown(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	runes := make([]rune, 0, len(text))
	for _, b := range []byte(text) {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

func allShown(texts map[string]string) map[string]string {
	for name, text := range texts {
		texts[name] = shown(text)
	}
	return texts
}
