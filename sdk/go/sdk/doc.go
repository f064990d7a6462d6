// Package sdk is the Nylon plugin SDK for Go.
//
// A plugin has named entries. The function given to AddPhaseHandler runs once per request and registers callbacks for the
// phases it wants; variables it declares are the state of that request:
//
//	plugin, err := sdk.NewNatsPlugin("nats://localhost:4222", "auth_workers")
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer plugin.Close()
//	plugin.AddPhaseHandler("auth", func(phase *sdk.PhaseHandler) {
//		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
//			if ctx.Request().Header("Authorization") == "" {
//				ctx.Response().SetStatus(401)
//				ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
//				ctx.End()
//				return
//			}
//			ctx.Request().SetHeader("X-Auth-User", "alice")
//			ctx.Next()
//		})
//	})
//	select {}
//
// NewNylonPlugin instead of NewNatsPlugin makes a shared library for the gateway of the same handlers.
//
// A callback owns its phase until it calls Next or End; returning does not end the phase. Callbacks of one request never
// overlap, those of different requests run in parallel. A panic in a callback answers the request with a 500 and leaves the
// worker alive; in a goroutine of your own it cannot be caught, so use PhaseHandler.Go.
//
// SPEC with a number is a rule of the session protocol, in protocol/SPEC.md of the project.
package sdk
