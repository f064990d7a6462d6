// Package sdktest runs the handlers of a plugin in memory, without NATS and without a gateway, for unit tests.
//
//	plugin := sdktest.New()
//	register(plugin) // func register(p sdk.Plugin), the same as in main
//	got := plugin.Do("auth", sdktest.Get("/orders", "Authorization", "Bearer secret"))
//	if got.Err != nil || got.Status != 200 || got.UpstreamHeader.Get("X-Auth-User") != "alice" { … }
//
// Do runs every phase that the handler registers, as a gateway would: the request filter, then the upstream or what End made,
// the response filter, the response body filter with the whole body, and logging. Every failure is answered as under the policy
// `fail`.
//
// Dial opens a WebSocket and is its client; WebSockets of one plugin meet in its rooms:
//
//	ws, answer := plugin.Dial("chat", sdktest.Get("/chat"))
//	if ws == nil { … } // answer says what the handler has answered instead
//	err := ws.SendText("hello")
//	message, err := ws.Receive()
//	ws.Close(1000, "")
//	got := ws.Wait() // OnClose has returned, and the logging phase has run
package sdktest
