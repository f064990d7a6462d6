// The same plugin as a worker on NATS.
package main

import (
	"log"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func init() {
	plugin, err := sdk.NewNatsPlugin("", "limit_workers")
	if err != nil {
		log.Fatal(err)
	}
	plugin.Shutdown(func() { log.Print("the limiter ends") })
	plugin.AddPhaseHandler("limit", limit)
}

func main() { select {} }

func limit(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.Request().Bytes() > 1<<20 {
			ctx.Response().SetStatus(413)
			ctx.Response().BodyJSON(map[string]string{"error": "too large"})
			ctx.End()
			return
		}
		ctx.Next()
	})
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		ctx.SetResponseHeader("X-Limit", "1 MiB")
		ctx.Next()
	})
}
