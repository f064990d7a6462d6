package main

import (
	"slices"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

func plugin(t *testing.T) *sdktest.Plugin {
	t.Helper()
	p := sdktest.New()
	register(p)
	if err := p.Configure(map[string]any{"tokens": map[string]any{"secret": "alice", "other": "bob"}}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnknownTokensAreRefused(t *testing.T) {
	p := plugin(t)
	for _, header := range []string{"", "secret", "Bearer", "Bearer ", "Bearer wrong", "Bearer  secret", "Basic secret"} {
		request := sdktest.Get("/orders")
		if header != "" {
			request = sdktest.Get("/orders", "Authorization", header)
		}
		got := p.Do("auth", request)
		if got.Err != nil || got.Status != 401 || !got.Ended || string(got.Body) != `{"error":"unauthorized"}` {
			t.Errorf("%q: %+v", header, got)
		}
		if got.UpstreamHeader != nil || got.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: %+v", header, got)
		}
	}
}

func TestTheUpstreamLearnsTheUser(t *testing.T) {
	p := plugin(t)
	for header, user := range map[string]string{"Bearer secret": "alice", "bearer other": "bob"} {
		got := p.Do("auth", sdktest.Get("/orders?n=1", "Authorization", header, "X-Auth-User", "mallory"))
		if got.Err != nil || got.Status != 200 || !slices.Equal(got.UpstreamHeader.Values("X-Auth-User"), []string{user}) {
			t.Errorf("%q: %+v", header, got)
		}
		if !slices.Equal(got.Phases, []string{"request filter", "logging"}) {
			t.Errorf("%q: phases %v", header, got.Phases)
		}
	}
}

func TestWithoutAConfigurationNobodyPasses(t *testing.T) {
	p := sdktest.New()
	register(p)
	if got := p.Do("auth", sdktest.Get("/", "Authorization", "Bearer secret")); got.Status != 401 {
		t.Errorf("%+v", got)
	}
}
