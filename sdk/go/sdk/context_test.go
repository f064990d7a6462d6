package sdk_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

// do runs one request through one handler.
func do(request *sdktest.Request, handler func(*sdk.PhaseHandler)) *sdktest.Result {
	p := sdktest.New()
	p.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p.AddPhaseHandler("e", handler)
	return p.Do("e", request)
}

// filter is a handler with a request filter.
func filter(fn func(*sdk.PhaseRequestFilter)) func(*sdk.PhaseHandler) {
	return func(phase *sdk.PhaseHandler) { phase.RequestFilter(fn) }
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestRequest(t *testing.T) {
	request := &sdktest.Request{
		Method: "POST", Target: "https://[::1]:8443/items/7?a=1&b=%20", Body: []byte("hello"), ClientIP: "192.0.2.9",
		Params: map[string]string{"id": "7"}, Payload: map[string]any{"n": 1, "list": []string{"x"}},
		Header: http.Header{"Authorization": {"Bearer abc"}, "X-Empty": {""}, "Cookie": {"a=1", "b=2"}, "Accept": {"x", "y"}},
	}
	got := do(request, filter(func(ctx *sdk.PhaseRequestFilter) {
		r := ctx.Request()
		same(t, "ID", r.ID(), "sdktest")
		same(t, "Method", r.Method(), "POST")
		same(t, "URL", r.URL(), "https://[::1]:8443/items/7?a=1&b=%20")
		same(t, "Path", r.Path(), "/items/7")
		same(t, "Query", r.Query(), "a=1&b=%20")
		same(t, "Host", r.Host(), "[::1]")
		same(t, "ClientIP", r.ClientIP(), "192.0.2.9")
		same(t, "Bytes", r.Bytes(), 5)
		same(t, "RawBody", string(r.RawBody()), "hello")
		same(t, "Header", r.Header("AUTHORIZATION"), "Bearer abc")
		same(t, "an absent header", r.Header("x-absent"), "")
		same(t, "an empty header", r.Header("x-empty"), "")
		same(t, "the first of two", r.Header("accept"), "x")
		same(t, "Get", r.Headers().Get("Accept"), "x, y")
		same(t, "cookies", r.Headers().GetAll()["cookie"], "a=1; b=2")
		same(t, "Values", strings.Join(r.Headers().Values("Cookie"), "|"), "a=1|b=2")
		same(t, "Params", r.Params()["id"], "7")
		same(t, "a payload's number", ctx.GetPayload()["n"], any(float64(1)))
		r.Params()["id"] = "changed"
		r.Headers().GetAll()["cookie"] = "changed"
		same(t, "Params again", r.Params()["id"], "7")
		if age := time.Now().UnixMilli() - r.Timestamp(); age < 0 || age > 60_000 {
			t.Errorf("Timestamp is %d ms ago", age)
		}
		text, err := io.ReadAll(r.BodyReader())
		if err != nil || string(text) != "hello" {
			t.Errorf("BodyReader: %q, %v", text, err)
		}
		ctx.Next()
	}))
	if got.Err != nil {
		t.Error(got.Err)
	}
}

func TestWithoutPayloadAndParams(t *testing.T) {
	got := do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.GetPayload() != nil || ctx.Request().Params() == nil {
			t.Errorf("%v %v", ctx.GetPayload(), ctx.Request().Params())
		}
		same(t, "URL", ctx.Request().URL(), "http://example.test/")
		ctx.Next()
	}))
	if got.Err != nil {
		t.Error(got.Err)
	}
}

func TestWhatIsSetIsReadBack(t *testing.T) {
	upstream := func(*http.Request) *sdktest.Answer {
		return &sdktest.Answer{Status: 404, Header: http.Header{"Server": {"x"}, "Vary": {"a", "b"}}, Body: []byte("body")}
	}
	got := do(&sdktest.Request{Upstream: upstream}, func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			same(t, "Status", ctx.Response().Status(), 200)
			same(t, "headers", len(ctx.Response().Headers()), 0)
			ctx.Response().SetHeader("X-Early", "1")
			same(t, "X-Early", ctx.Response().Headers()["x-early"], "1")
			ctx.Next()
		})
		phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
			r := ctx.Response()
			same(t, "Status", r.Status(), 404)
			same(t, "Vary", r.Headers()["vary"], "a, b")
			same(t, "X-Early", r.Headers()["x-early"], "1")
			same(t, "ReadBody", len(r.ReadBody()), 0)
			ctx.SetResponseStatus(201)
			ctx.SetResponseHeader("VARY", "c")
			r.AddHeader("Set-Cookie", "a=1")
			r.AddHeader("Set-Cookie", "b=2")
			ctx.RemoveResponseHeader("server")
			same(t, "Status", r.Status(), 201)
			same(t, "Vary", r.Headers()["vary"], "c")
			same(t, "Server", r.Headers()["server"], "")
			ctx.Next()
		})
		phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) {
			same(t, "Bytes", ctx.Response().Bytes(), 4)
			same(t, "ReadBody", string(ctx.Response().ReadBody()), "body")
			ctx.Response().BodyText("longer body")
			same(t, "ReadBody", string(ctx.Response().ReadBody()), "longer body")
			ctx.Next()
		})
		phase.Logging(func(ctx *sdk.PhaseLogging) {
			same(t, "Status", ctx.Response().Status(), 201)
			same(t, "Bytes", ctx.Response().Bytes(), 11)
			same(t, "Error", ctx.Response().Error(), "")
			same(t, "ReadBody", len(ctx.Response().ReadBody()), 0)
			if _, err := ctx.Request().RawBodyErr(); !errors.Is(err, sdk.ErrNoBody) {
				t.Error(err)
			}
			ctx.Next()
		})
	})
	if got.Err != nil || got.Status != 201 || string(got.Body) != "longer body" {
		t.Fatalf("%+v", got)
	}
	if !slices.Equal(got.Header.Values("Set-Cookie"), []string{"a=1", "b=2"}) || got.Header.Get("Content-Type") != "" {
		t.Errorf("%v", got.Header)
	}
	same(t, "phases", strings.Join(got.Phases, ", "), "request filter, response filter, response body filter, logging")
}

func TestBodies(t *testing.T) {
	for want, set := range map[string]func(*sdk.Response){
		"200 text/plain; charset=utf-8 hi":           func(r *sdk.Response) { r.BodyText("hi") },
		"200 text/html; charset=utf-8 <b>":           func(r *sdk.Response) { r.BodyHTML("<b>") },
		`200 application/json {"a":1}`:               func(r *sdk.Response) { r.BodyJSON(map[string]int{"a": 1}) },
		"200  raw":                                   func(r *sdk.Response) { r.BodyRaw([]byte("raw")) },
		"302  ":                                      func(r *sdk.Response) { r.BodyRaw([]byte("x")); r.Redirect("/there") },
		"308 text/plain; charset=utf-8 gone":         func(r *sdk.Response) { r.Redirect("/there", 308).BodyText("gone") },
		"200 application/json {\"last\":\"counts\"}": func(r *sdk.Response) { r.BodyText("x").BodyJSON(map[string]string{"last": "counts"}) },
	} {
		got := do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) {
			set(ctx.Response())
			ctx.End()
		}))
		text := strings.Join([]string{map[int]string{200: "200", 302: "302", 308: "308"}[got.Status], got.Header.Get("Content-Type"), string(got.Body)}, " ")
		if got.Err != nil || text != want || !got.Ended {
			t.Errorf("%q, want %q: %+v", text, want, got)
		}
	}
}

func TestOnlyTheFirstEndOfAPhaseCounts(t *testing.T) {
	got := do(sdktest.Get("/"), func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Next()
			ctx.End()
			ctx.Response().SetStatus(500)
			ctx.Request().SetHeader("X-Late", "1")
		})
		phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
			ctx.SetResponseHeader("X-Ran", "yes")
			ctx.Next()
			ctx.Next()
		})
	})
	if got.Err != nil || got.Status != 200 || got.Ended || got.UpstreamHeader.Get("X-Late") != "" || got.Header.Get("X-Ran") != "yes" {
		t.Errorf("%+v", got)
	}
}

func TestPanicsAreFailures(t *testing.T) {
	for what, handler := range map[string]func(*sdk.PhaseHandler){
		"the registration function panicked: no": func(*sdk.PhaseHandler) { panic("no") },
		"RequestFilter panicked: no":             filter(func(*sdk.PhaseRequestFilter) { panic("no") }),
		"RequestFilter ended its goroutine":      filter(func(*sdk.PhaseRequestFilter) { runtime.Goexit() }),
		"ResponseFilter panicked: no": func(phase *sdk.PhaseHandler) {
			phase.ResponseFilter(func(*sdk.PhaseResponseFilter) { panic("no") })
		},
		"encoding a JSON body": filter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().BodyText("before").BodyJSON(func() {})
			ctx.End()
		}),
	} {
		got := do(sdktest.Get("/"), handler)
		if got.Err == nil || got.Status != 500 || !strings.Contains(got.Err.Error(), what) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestWhatAFailureGivesTheClientInTheLastPhases(t *testing.T) {
	got := do(answering("x"), func(phase *sdk.PhaseHandler) {
		phase.ResponseBodyFilter(func(*sdk.PhaseResponseBodyFilter) { panic("no") })
	})
	if got.Err == nil || got.Status != 502 || len(got.Body) > 0 {
		t.Errorf("%+v", got)
	}
	got = do(answering("x"), func(phase *sdk.PhaseHandler) { phase.Logging(func(*sdk.PhaseLogging) { panic("no") }) })
	if got.Err == nil || got.Status != 200 || string(got.Body) != "x" {
		t.Errorf("%+v", got)
	}
}

func TestIllegalChangesAreFailures(t *testing.T) {
	for _, set := range []func(*sdk.PhaseRequestFilter){
		func(ctx *sdk.PhaseRequestFilter) { ctx.Response().SetStatus(99) },
		func(ctx *sdk.PhaseRequestFilter) { ctx.Response().SetHeader("a b", "x") },
		func(ctx *sdk.PhaseRequestFilter) { ctx.Request().SetHeader("x", "a\r\nb: c") },
	} {
		got := do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) { set(ctx); ctx.End() }))
		if got.Err == nil || got.Status != 502 {
			t.Errorf("%+v", got)
		}
	}
}

// TestAServiceAnswers: with End, or with Next where there is an answer, as of a gateway.
func TestAServiceAnswers(t *testing.T) {
	for _, each := range []struct {
		answer func(*sdk.PhaseRequestFilter)
		status int
		body   string
	}{
		{func(ctx *sdk.PhaseRequestFilter) { ctx.Response().BodyText("hi"); ctx.End() }, 200, "hi"},
		{func(ctx *sdk.PhaseRequestFilter) { ctx.Response().BodyText("hi"); ctx.Next() }, 200, "hi"},
		{func(ctx *sdk.PhaseRequestFilter) { ctx.Response().SetStatus(204); ctx.Next() }, 204, ""},
		{func(ctx *sdk.PhaseRequestFilter) { ctx.Response().SetHeader("X-A", "1"); ctx.Next() }, 502, ""},
	} {
		got := do(&sdktest.Request{Service: true}, func(phase *sdk.PhaseHandler) {
			phase.RequestFilter(each.answer)
			phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) { ctx.Next() })
			phase.Logging(func(ctx *sdk.PhaseLogging) {
				same(t, "the status in logging", ctx.Response().Status(), each.status)
				ctx.Next()
			})
		})
		if got.Status != each.status || string(got.Body) != each.body || (got.Err == nil) != (each.status < 500) {
			t.Errorf("%+v, want %d %q", got, each.status, each.body)
		}
		same(t, "phases", strings.Join(got.Phases, ", "), "request filter, logging")
	}
}

// TestHeadersOfARequestHaveOneSpelling: to many upstreams X_User is X-User (SPEC 13.3).
func TestHeadersOfARequestHaveOneSpelling(t *testing.T) {
	request := &sdktest.Request{
		Header:   http.Header{"X_User": {"root"}, "X-Gone": {"1"}, "X_gone": {"1"}, "X_Kept": {"1"}},
		Upstream: func(*http.Request) *sdktest.Answer { return &sdktest.Answer{Header: http.Header{"X_Answer": {"1"}}} },
	}
	got := do(request, filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Request().SetHeader("X-User", "alice")
		ctx.Request().RemoveHeader("x_gone")
		ctx.Request().AddHeader("X-Kept", "2")
		ctx.Response().SetHeader("X-Answer", "2")
		ctx.Next()
	}))
	if want := (http.Header{"X-User": {"alice"}, "X_kept": {"1"}, "X-Kept": {"2"}}); !reflect.DeepEqual(got.UpstreamHeader, want) {
		t.Errorf("%v, want %v", got.UpstreamHeader, want)
	}
	if want := (http.Header{"X_answer": {"1"}, "X-Answer": {"2"}}); !reflect.DeepEqual(got.Header, want) {
		t.Errorf("%v, want %v", got.Header, want)
	}
}

func TestABodyBeyondTheLimit(t *testing.T) {
	p := sdktest.New()
	p.MaxBody, p.Logger = 10, slog.New(slog.NewTextHandler(io.Discard, nil))
	p.AddPhaseHandler("plain", filter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.Request().RawBody() != nil {
			t.Error("a cut body")
		}
		ctx.Next()
	}))
	p.AddPhaseHandler("careful", filter(func(ctx *sdk.PhaseRequestFilter) {
		if _, err := ctx.Request().RawBodyErr(); !errors.Is(err, sdk.ErrBodyTooLarge) {
			t.Error(err)
		}
		ctx.Response().SetStatus(413)
		ctx.End()
	}))
	request := &sdktest.Request{Method: "POST", Body: make([]byte, 11)}
	if got := p.Do("plain", request); got.Err == nil || got.UpstreamHeader != nil {
		t.Errorf("%+v", got)
	}
	if got := p.Do("careful", request); got.Err != nil || got.Status != 413 {
		t.Errorf("%+v", got)
	}
}

func TestAPhaseThatNeverEndsIsCancelled(t *testing.T) {
	p := sdktest.New()
	p.Timeout = 20 * time.Millisecond
	cause := make(chan error, 1)
	p.AddPhaseHandler("e", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(*sdk.PhaseRequestFilter) {
			ctx := phase.Context()
			phase.Go(func() {
				<-ctx.Done()
				cause <- context.Cause(ctx)
			})
		})
	})
	if got := p.Do("e", sdktest.Get("/")); !errors.Is(got.Err, sdk.ErrPhaseTimeout) || got.Status != 504 {
		t.Errorf("%+v", got)
	}
	if err := <-cause; !errors.Is(err, sdk.ErrPhaseTimeout) {
		t.Error(err)
	}
}

func TestWhatThisTransportCannotDo(t *testing.T) {
	request := sdktest.Get("/", "Upgrade", "websocket")
	got := do(request, filter(func(ctx *sdk.PhaseRequestFilter) {
		if err := ctx.WebSocketUpgrade(sdk.WebSocketCallbacks{}); !errors.Is(err, sdk.ErrNotSupported) {
			t.Error(err)
		}
		ctx.Response().SetStatus(501)
		ctx.End()
	}))
	if got.Status != 501 {
		t.Errorf("%+v", got)
	}
	do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) {
		if err := ctx.WebSocketUpgrade(sdk.WebSocketCallbacks{}); !errors.Is(err, sdk.ErrNotWebSocket) {
			t.Error(err)
		}
		ctx.Next()
	}))
}
