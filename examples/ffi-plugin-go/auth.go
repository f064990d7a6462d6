package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"log"
	"strings"
	"sync/atomic"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// Config is the plugin's `config:` in the gateway's configuration.
type Config struct {
	Tokens map[string]string `json:"tokens"` // token -> user
}

// register works for every transport: the constructor in main is the only difference.
func register(plugin sdk.Plugin) {
	var config atomic.Pointer[Config]
	config.Store(&Config{})
	plugin.Initialize(sdk.NewInitializer(func(loaded Config) { config.Store(&loaded) }))
	plugin.AddPhaseHandler("auth", func(phase *sdk.PhaseHandler) {
		var user string // state of this request
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			user = config.Load().user(ctx.Request().Header("Authorization"))
			if user == "" {
				ctx.Response().SetStatus(sdk.StatusUnauthorized)
				ctx.Response().SetHeader("WWW-Authenticate", "Bearer")
				ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
				ctx.End()
				return
			}
			ctx.Request().SetHeader("X-Auth-User", user)
			ctx.Next()
		})
		phase.Logging(func(ctx *sdk.PhaseLogging) {
			log.Printf("%q %s %s %d %d ms", user, ctx.Request().Method(), ctx.Request().Path(), ctx.Response().Status(), ctx.Response().Duration())
			ctx.Next()
		})
	})
}

// user is whose token an Authorization header carries; "" for none that is known.
func (c *Config) user(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	found := ""
	given := sha256.Sum256([]byte(token))
	for known, user := range c.Tokens {
		sum := sha256.Sum256([]byte(known))
		if subtle.ConstantTimeCompare(sum[:], given[:]) == 1 {
			found = user
		}
	}
	return found
}
