//go:build cgo

package sdk_test

import "github.com/AssetsArt/nylon/sdk/go/sdk"

// The func main of a library that is built with -buildmode=c-shared.
func ExampleNewNylonPlugin() {
	main := func() {
		plugin := sdk.NewNylonPlugin()
		defer plugin.Close()
		plugin.AddPhaseHandler("hello", func(phase *sdk.PhaseHandler) {
			phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
				ctx.Response().BodyText("hello " + ctx.Request().Path())
				ctx.End()
			})
		})
		select {}
	}
	_ = main
}
