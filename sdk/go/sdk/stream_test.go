package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

func TestAStreamedAnswer(t *testing.T) {
	got := do(sdktest.Get("/"), func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().SetStatus(203)
			ctx.Response().SetHeader("Content-Type", "text/event-stream")
			ctx.Response().BodyText("dropped").SetHeader("Content-Type", "text/event-stream")
			stream, err := ctx.Response().Stream()
			if err != nil {
				t.Error(err)
				return
			}
			ctx.Response().SetHeader("X-Late", "1")
			if _, err := ctx.Response().Stream(); err == nil {
				t.Error("a second stream")
			}
			phase.Go(func() { // returning does not end it
				for _, piece := range []string{"a", "b", "c"} {
					if n, err := io.WriteString(stream, piece); n != 1 || err != nil {
						t.Error(n, err)
					}
				}
				if err := errors.Join(stream.End(), stream.Close()); err != nil {
					t.Error(err)
				}
				if _, err := io.WriteString(stream, "late"); !errors.Is(err, sdk.ErrSessionClosed) {
					t.Error(err)
				}
				ctx.Next() // a surplus call: ignored
			})
		})
		phase.ResponseFilter(func(*sdk.PhaseResponseFilter) { t.Error("its own response filter ran") })
		phase.Logging(func(ctx *sdk.PhaseLogging) {
			same(t, "Status", ctx.Response().Status(), 203)
			same(t, "Bytes", ctx.Response().Bytes(), 3)
			ctx.Next()
		})
	})
	if got.Err != nil || !got.Streamed || got.Status != 203 || string(got.Body) != "abc" || got.UpstreamHeader != nil {
		t.Errorf("%+v", got)
	}
	if got.Header.Get("Content-Type") != "text/event-stream" || got.Header.Get("X-Late") != "" {
		t.Errorf("%v", got.Header)
	}
	same(t, "phases", strings.Join(got.Phases, ", "), "request filter, logging")
}

func TestAStreamThatIsNotEndedIsCut(t *testing.T) {
	for what, leave := range map[string]func(*sdk.PhaseRequestFilter, *sdk.ResponseStream){
		"Next":    func(ctx *sdk.PhaseRequestFilter, _ *sdk.ResponseStream) { ctx.Next() },
		"End":     func(ctx *sdk.PhaseRequestFilter, _ *sdk.ResponseStream) { ctx.End() },
		"a panic": func(*sdk.PhaseRequestFilter, *sdk.ResponseStream) { panic("no") },
		"a failure": func(ctx *sdk.PhaseRequestFilter, stream *sdk.ResponseStream) {
			ctx.Response().BodyJSON(func() {}) // fails the phase
			if err := stream.End(); err == nil {
				t.Error("a failed phase ended well")
			}
		},
	} {
		got := do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) {
			stream, err := ctx.Response().Stream()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(stream, "half")
			leave(ctx, stream)
		}))
		if got.Err == nil || !strings.Contains(got.Err.Error(), "cut its stream short") || string(got.Body) != "half" || got.Status != 200 {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestWhereNothingCanBeStreamed(t *testing.T) {
	got := do(sdktest.Get("/"), func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Next()
			if _, err := ctx.Response().Stream(); !errors.Is(err, sdk.ErrSessionClosed) {
				t.Error(err)
			}
		})
		phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
			if _, err := ctx.Response().Stream(); err == nil {
				t.Error("a stream in a response filter")
			}
			ctx.Next()
		})
	})
	if got.Err != nil || got.Streamed {
		t.Errorf("%+v", got)
	}
	got = do(sdktest.Get("/"), filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().BodyJSON(func() {}) // fails the phase
		if _, err := ctx.Response().Stream(); err == nil {
			t.Error("a stream of a phase that has failed")
		}
		ctx.End()
	}))
	if got.Err == nil || got.Status != 500 {
		t.Errorf("%+v", got)
	}
}

func TestAClientThatLeavesItsStream(t *testing.T) {
	got := do(&sdktest.Request{LeaveAfter: 10}, func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			stream, err := ctx.Response().Stream()
			for total := 0; err == nil; {
				var n int
				n, err = io.WriteString(stream, "1234")
				if total += n; err != nil {
					same(t, "accepted", total, 10)
				}
			}
			if !errors.Is(err, sdk.ErrClientGone) || !errors.Is(context.Cause(phase.Context()), sdk.ErrClientGone) {
				t.Error(err)
			}
		})
	})
	if !errors.Is(got.Err, sdk.ErrClientGone) || string(got.Body) != "1234123412" {
		t.Errorf("%+v", got)
	}
}

func TestAnUploadIsReadAsItComes(t *testing.T) {
	request := &sdktest.Request{Method: "POST", Body: bytes.Repeat([]byte("x"), 11<<20)} // beyond the limit of RawBody
	got := do(request, filter(func(ctx *sdk.PhaseRequestFilter) {
		body := ctx.Request().BodyReader()
		if n, err := io.Copy(io.Discard, body); n != 11<<20 || err != nil {
			t.Error(n, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error(n, err)
		}
		if _, err := ctx.Request().BodyReader().Read(make([]byte, 1)); !errors.Is(err, sdk.ErrNoBody) {
			t.Error(err)
		}
		if _, err := ctx.Request().RawBodyErr(); !errors.Is(err, sdk.ErrNoBody) {
			t.Error(err)
		}
		ctx.Next() // nobody else gets the body
	}))
	if got.Err == nil || got.Status != 502 || got.UpstreamHeader != nil {
		t.Errorf("%+v", got)
	}
}

// upper filters piece by piece.
func upper(phase *sdk.PhaseHandler) {
	phase.ResponseBodyStream(func(_ *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
		buffer := make([]byte, 100)
		for {
			n, err := r.Read(buffer)
			if _, err := w.Write(bytes.ToUpper(buffer[:n])); err != nil {
				return err
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}

func answering(body string) *sdktest.Request {
	return &sdktest.Request{Upstream: func(*http.Request) *sdktest.Answer { return &sdktest.Answer{Body: []byte(body)} }}
}

func TestABodyFilterPieceByPiece(t *testing.T) {
	body := strings.Repeat("abc", 10_000)
	if got := do(answering(body), upper); got.Err != nil || string(got.Body) != strings.ToUpper(body) {
		t.Errorf("%v %d", got.Err, len(got.Body))
	}
	got := do(answering("abc"), func(phase *sdk.PhaseHandler) {
		phase.ResponseBodyFilter(func(*sdk.PhaseResponseBodyFilter) { t.Error("the first of two ran") })
		phase.ResponseBodyStream(func(ctx *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
			ctx.Response().BodyText("no effect")
			ctx.Next() // no effect
			same(t, "Bytes", ctx.Response().Bytes(), 3)
			if _, err := ctx.Response().ReadBodyErr(); !errors.Is(err, sdk.ErrNoBody) {
				t.Error(err)
			}
			return nil // an empty body
		})
	})
	if got.Err != nil || len(got.Body) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestABodyFilterThatFails(t *testing.T) {
	for what, fn := range map[string]func(r io.Reader, w io.Writer) error{
		"ResponseBodyStream: no": func(_ io.Reader, w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			return errors.New("no")
		},
		"ResponseBodyStream: before": func(io.Reader, io.Writer) error { return errors.New("before") },
		"panicked: no":               func(io.Reader, io.Writer) error { panic("no") },
	} {
		got := do(answering("abc"), func(phase *sdk.PhaseHandler) {
			phase.ResponseBodyStream(func(_ *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error { return fn(r, w) })
		})
		if got.Err == nil || !strings.Contains(got.Err.Error(), what) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestAStreamThatIsNeverEndedIsReported(t *testing.T) {
	p := sdktest.New()
	p.Timeout = 20 * time.Millisecond
	p.AddPhaseHandler("e", filter(func(ctx *sdk.PhaseRequestFilter) { _, _ = ctx.Response().Stream() }))
	if got := p.Do("e", sdktest.Get("/")); !errors.Is(got.Err, sdk.ErrPhaseTimeout) {
		t.Errorf("%+v", got)
	}
}
