// Package judged is the plugin that the conformance suite judges, conformance/testees/python in Go: a session does what its
// payload asks for. conformance/README.md has the words. The handlers know nothing of their transport: package worker serves
// them on NATS, package library in the gateway's process.
package judged

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// Register registers every entry with a plugin of any transport.
func Register(plugin sdk.Plugin) {
	plugin.Initialize(initialize)
	plugin.AddPhaseHandler("plan", func(phase *sdk.PhaseHandler) { allPhases(phase, (*at).run) })
	plugin.AddPhaseHandler("plan_async", func(phase *sdk.PhaseHandler) { allPhases(phase, (*at).runElsewhere) })
	plugin.AddPhaseHandler("request only", func(phase *sdk.PhaseHandler) {
		session := &session{phase: phase}
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) { session.inRequest(ctx).run() })
	})
	plugin.AddPhaseHandler("request_logging", func(phase *sdk.PhaseHandler) {
		session := &session{phase: phase}
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) { session.inRequest(ctx).run() })
		phase.Logging(func(ctx *sdk.PhaseLogging) { session.inLogging(ctx).run() })
	})
	plugin.AddPhaseHandler("filter_stream", func(phase *sdk.PhaseHandler) { filterStream(phase, (*at).play) })
	plugin.AddPhaseHandler("filter_stream_async", func(phase *sdk.PhaseHandler) { filterStream(phase, playElsewhere) })
}

// allPhases registers all four, each run as the payload says.
func allPhases(phase *sdk.PhaseHandler, run func(*at)) {
	session := &session{phase: phase}
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) { run(session.inRequest(ctx)) })
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		run(session.at("response_filter", ctx.Request(), ctx.Response(), ctx.GetPayload(), ctx.Next))
	})
	phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) { run(session.inBody(ctx)) })
	phase.Logging(func(ctx *sdk.PhaseLogging) { run(session.inLogging(ctx)) })
}

// session is what lives as long as a session.
type session struct {
	phase *sdk.PhaseHandler
	state []string
}

// at is one phase of a session, whichever it is.
type at struct {
	*session
	name     string
	id, host string // of the request; a library cannot ask for them when the session is over
	request  *sdk.Request
	response *sdk.Response
	payload  map[string]any
	next     func()
	upgrade  func(sdk.WebSocketOptions, sdk.WebSocketCallbacks) error
	end      func()
	over     bool // a stream of its own has ended the phase
}

func (s *session) at(name string, in *sdk.Request, out *sdk.Response, payload map[string]any, next func()) *at {
	return &at{session: s, name: name, id: in.ID(), host: in.Host(), request: in, response: out, payload: payload, next: next, end: func() {
		panic("a " + name + " cannot end the request")
	}}
}

func (s *session) inRequest(ctx *sdk.PhaseRequestFilter) *at {
	here := s.at("request_filter", ctx.Request(), ctx.Response(), ctx.GetPayload(), ctx.Next)
	here.end, here.upgrade = ctx.End, ctx.WebSocketUpgradeWith
	return here
}

func (s *session) inBody(ctx *sdk.PhaseResponseBodyFilter) *at {
	return s.at("response_body_filter", ctx.Request(), ctx.Response(), ctx.GetPayload(), ctx.Next)
}

func (s *session) inLogging(ctx *sdk.PhaseLogging) *at {
	return s.at("logging", ctx.Request(), ctx.Response(), ctx.GetPayload(), ctx.Next)
}

// steps are those of this phase.
func (c *at) steps() []step { return steps(c.payload[c.name]) }

// runElsewhere runs the plan in a goroutine that outlives the callback.
func (c *at) runElsewhere() { c.phase.Go(c.run) }

// run does the steps of this phase and ends it, if none of them has.
func (c *at) run() {
	for _, s := range c.steps() {
		c.do(s)
	}
	if !c.over {
		c.next() // surplus behind a next or an end: ignored
	}
}

// do is one step. Words that Go cannot say wrongly need no "try".
func (c *at) do(s step) {
	if c.change(s) {
		return
	}
	switch s.text("do") {
	case "report":
		c.response.SetHeader("x-report", jsonOf(c.readings(s.texts("what"))))
	case "report_body":
		c.response.BodyJSON(c.readings(s.texts("what")))
	case "remember":
		c.state = append(c.state, s.text("text"))
	case "recall":
		c.response.SetHeader("x-recall", joined(c.state))
	case "note":
		c.note(s.texts("what"), map[string]any{"state": c.state})
	case "raise":
		panic("asked to raise")
	case "end":
		c.end()
	case "next":
		c.next()
	case "sleep":
		c.wait(s.number("ms"), s["watch"] != false)
		c.note(nil, map[string]any{"slept": true, "cancelled": c.cancelled()})
	case "read_request_body":
		c.digest(c.request.RawBody())
	case "read_response_body":
		c.digest(c.response.ReadBody())
	case "stream":
		c.stream(s)
	case "take":
		c.take(s)
	case "websocket":
		c.websocket(s)
	default:
		panic(fmt.Sprintf("nobody knows %v", s))
	}
}

// change is a step that changes request or response; whether it was one.
func (c *at) change(s step) bool {
	switch s.text("do") {
	case "set_header":
		c.response.SetHeader(s.text("name"), s.text("value"))
	case "add_header":
		c.response.AddHeader(s.text("name"), s.text("value"))
	case "remove_header":
		c.response.RemoveHeader(s.text("name"))
	case "set_status":
		c.response.SetStatus(uint16(s.number("status")))
	case "body_raw":
		c.response.BodyRaw(s.data())
	case "body_text":
		c.response.BodyText(s.text("text"))
	case "body_html":
		c.response.BodyHTML(s.text("text"))
	case "body_json":
		c.response.BodyJSON(s["value"])
	case "redirect":
		if code := s.number("code"); code != 0 {
			c.response.Redirect(s.text("url"), uint16(code))
		} else {
			c.response.Redirect(s.text("url"))
		}
	case "request_set":
		c.request.SetHeader(s.text("name"), s.text("value"))
	case "request_add":
		c.request.AddHeader(s.text("name"), s.text("value"))
	case "request_remove":
		c.request.RemoveHeader(s.text("name"))
	default:
		return false
	}
	return true
}

// digest leaves the length of a body and how it begins where later steps find it.
func (c *at) digest(body []byte) {
	begins := string(body[:min(len(body), 16)])
	say(map[string]any{"id": c.id, "body": len(body), "begins": begins})
	if c.name == "response_body_filter" {
		c.response.BodyRaw(bytes.ToUpper(body))
	} else {
		c.response.SetHeader("x-body", fmt.Sprintf("%d:%s", len(body), begins))
	}
}

func (c *at) cancelled() bool { return c.phase.Context().Err() != nil }

// wait waits so many milliseconds; one that watches, no longer than the session lives.
func (c *at) wait(ms int, watch bool) {
	var gone <-chan struct{}
	if watch {
		gone = c.phase.Context().Done()
	}
	select {
	case <-gone:
	case <-time.After(time.Duration(ms) * time.Millisecond):
	}
}

// take asks for the request body, waits so long, takes all of it and tells its length.
func (c *at) take(s step) {
	body, buffer, total := c.request.BodyReader(), make([]byte, 32<<10), 0
	_, err := body.Read(buffer[:0]) // asks, and takes nothing
	c.wait(s.number("after_ms"), true)
	for err == nil {
		var n int
		n, err = body.Read(buffer)
		total += n
	}
	if !errors.Is(err, io.EOF) {
		c.note(nil, map[string]any{"raised": err.Error(), "total": total})
		panic(err)
	}
	c.response.SetHeader("x-total", jsonOf(total))
}

func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
