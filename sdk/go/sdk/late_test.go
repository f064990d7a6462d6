package sdk_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

func TestAPanicInAGoroutineFailsThePhaseThatStartedIt(t *testing.T) {
	for _, later := range []bool{false, true} {
		got := do(sdktest.Get("/"), func(phase *sdk.PhaseHandler) {
			fail := func() { phase.Go(func() { panic("asked to panic") }) }
			phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
				if !later {
					fail()
					return
				}
				ctx.Next()
			})
			phase.ResponseFilter(func(*sdk.PhaseResponseFilter) { fail() })
		})
		if got.Status != 500 || got.Err == nil || !strings.Contains(got.Err.Error(), "asked to panic") {
			t.Errorf("%+v", got)
		}
	}
}

func TestAPanicInAGoroutineOfAPhaseThatIsOver(t *testing.T) {
	over := make(chan struct{})
	got := do(sdktest.Get("/"), func(phase *sdk.PhaseHandler) {
		phase.Go(func() { panic("nobody's phase") })
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			phase.Go(func() {
				<-over
				panic("asked to panic")
			})
			ctx.Next()
		})
		phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
			close(over)
			ctx.Next()
		})
	})
	if got.Status != 200 || got.Err != nil {
		t.Errorf("%+v", got)
	}
}

func TestWhatComesTooLateIsIgnored(t *testing.T) {
	upstream := func(*http.Request) *sdktest.Answer { return &sdktest.Answer{Status: 404} }
	var logged strings.Builder
	p := sdktest.New()
	p.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	p.AddPhaseHandler("e", func(phase *sdk.PhaseHandler) {
		phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
			ctx.Request().SetHeader("X-Late", "1")
			ctx.Request().AddHeader("X-Late", "2")
			ctx.Request().RemoveHeader("X-Late")
			ctx.Next()
		})
		phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) {
			ctx.Response().SetStatus(500)
			ctx.Response().SetHeader("X-Late", "1")
			ctx.Response().BodyJSON([]int{1})
			same(t, "Status", ctx.Response().Status(), 404)
			same(t, "X-Late", ctx.Response().Headers()["x-late"], "")
			ctx.Next()
		})
		phase.Logging(func(ctx *sdk.PhaseLogging) {
			ctx.Response().SetStatus(500)
			ctx.Response().SetHeader("X-Late", "1")
			same(t, "Status", ctx.Response().Status(), 404)
			same(t, "X-Late", ctx.Response().Headers()["x-late"], "")
			ctx.Next()
		})
	})
	got := p.Do("e", &sdktest.Request{Upstream: upstream})
	if got.Status != 404 || got.Err != nil || string(got.Body) != "[1]" {
		t.Errorf("%+v", got)
	}
	for _, each := range []string{"a change of the request", "a change of status or headers", "a change in logging"} {
		same(t, each, strings.Count(logged.String(), each), 1)
	}
}
