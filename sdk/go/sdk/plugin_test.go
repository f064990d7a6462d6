package sdk_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

func TestInitializers(t *testing.T) {
	type config struct{ N int }
	p := sdktest.New()
	var got config
	p.Initialize(sdk.NewInitializer(func(c config) { got = c }))
	if err := p.Configure(map[string]any{"n": 3}); err != nil || got.N != 3 {
		t.Errorf("%v %v", got, err)
	}
	if err := p.Configure(nil); err != nil || got.N != 0 {
		t.Errorf("%v %v", got, err)
	}
	p.Initialize(sdk.NewFallibleInitializer(func(c config) error {
		if c.N == 0 {
			return errors.New("n is missing")
		}
		return nil
	}))
	for config, want := range map[string]map[string]any{"n is missing": {}, "cannot unmarshal": {"n": "text"}} {
		if err := p.Configure(want); err == nil || !strings.Contains(err.Error(), config) {
			t.Errorf("%v: %v", want, err)
		}
	}
	if err := p.Configure(map[string]any{"n": 1}); err != nil {
		t.Error(err)
	}
}

func TestThePrefixOfTheEnvironment(t *testing.T) {
	t.Setenv("NYLON_PREFIX", "a b")
	if plugin, err := sdk.NewNatsPlugin("", "g"); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("%v %v", plugin, err)
	}
	plugin, err := sdk.NewNatsPlugin("", "g", sdk.WithPrefix("shop"))
	if err != nil {
		t.Fatal(err)
	}
	if err := plugin.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheConstructorSaysWhatIsWrong(t *testing.T) {
	t.Setenv("NATS_GROUP", "")
	for want, make := range map[string]func() (*sdk.NatsPlugin, error){
		"no group is given":  func() (*sdk.NatsPlugin, error) { return sdk.NewNatsPlugin("", "") },
		"WithMaxSessions(0)": func() (*sdk.NatsPlugin, error) { return sdk.NewNatsPlugin("", "g", sdk.WithMaxSessions(0)) },
		"prefix":             func() (*sdk.NatsPlugin, error) { return sdk.NewNatsPlugin("", "g", sdk.WithPrefix("a b")) },
		"connecting to nats at nats://u:xxxxx@127.0.0.1:1": func() (*sdk.NatsPlugin, error) {
			return sdk.NewNatsPlugin("nats://u:p@127.0.0.1:1", "g", sdk.WithFailFast())
		},
		"NKey seed": func() (*sdk.NatsPlugin, error) { return sdk.NewNatsPlugin("", "g", sdk.WithNKeySeed("SUnone")) },
	} {
		plugin, err := make()
		if err == nil {
			_ = plugin.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestAWorkerMayStartBeforeNats(t *testing.T) {
	plugin, err := sdk.NewNatsPlugin("nats://127.0.0.1:1", "g", sdk.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		t.Fatal(err)
	}
	if err := plugin.Start(); err == nil || !strings.Contains(err.Error(), "no handler") {
		t.Error(err)
	}
	plugin.AddPhaseHandler("e", filter(func(ctx *sdk.PhaseRequestFilter) { ctx.Next() }))
	if err := plugin.Start(); err != nil || plugin.Ready() {
		t.Error(err, plugin.Ready())
	}
	plugin.AddPhaseHandler("nil", nil)
	if err := plugin.Start(); err == nil || !strings.Contains(err.Error(), `"nil"`) {
		t.Error(err)
	}
	ended := false
	plugin.Shutdown(func() { ended = true })
	if err := errors.Join(plugin.Close(), plugin.Close()); err != nil || !ended {
		t.Error(err, ended)
	}
	<-plugin.Done()
}
