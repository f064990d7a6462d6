package sdk_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
	"github.com/AssetsArt/nylon/sdk/go/sdktest"
)

func ExampleNewNatsPlugin() {
	plugin, err := sdk.NewNatsPlugin("nats://localhost:4222", "auth_workers", sdk.WithMaxSessions(256))
	if err != nil {
		log.Fatal(err)
	}
	plugin.AddPhaseHandler("hello", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().BodyText("hello " + ctx.Request().Path())
			ctx.End()
		})
	})
	if err := plugin.Run(context.Background()); err != nil { // until SIGTERM; drains
		log.Fatal(err)
	}
}

func ExamplePhaseHandler() {
	register := func(p sdk.Plugin) {
		p.AddPhaseHandler("greet", func(phase *sdk.PhaseHandler) {
			var name string // state of this request
			phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
				name = ctx.Request().Header("X-Name")
				ctx.Next()
			})
			phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
				ctx.SetResponseHeader("X-Greeting", "hello "+name)
				ctx.Next()
			})
		})
	}
	plugin := sdktest.New()
	register(plugin)
	got := plugin.Do("greet", sdktest.Get("/", "X-Name", "Ada"))
	fmt.Println(got.Status, got.Header.Get("X-Greeting"))
	// Output: 200 hello Ada
}

func ExamplePhaseRequestFilter_End() {
	plugin := sdktest.New()
	plugin.AddPhaseHandler("auth", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			if ctx.Request().Header("Authorization") == "" {
				ctx.Response().SetStatus(sdk.StatusUnauthorized)
				ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
				ctx.End()
				return
			}
			ctx.Request().SetHeader("X-Auth-User", "alice")
			ctx.Next()
		})
	})
	got := plugin.Do("auth", sdktest.Get("/"))
	fmt.Println(got.Status, string(got.Body))
	got = plugin.Do("auth", sdktest.Get("/", "Authorization", "Bearer secret"))
	fmt.Println(got.Status, got.UpstreamHeader.Get("X-Auth-User"))
	// Output:
	// 401 {"error":"unauthorized"}
	// 200 alice
}

func ExampleResponse_ReadBody() {
	plugin := sdktest.New()
	plugin.AddPhaseHandler("redact", func(phase *sdk.PhaseHandler) {
		phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) {
			body := ctx.Response().ReadBody()
			ctx.Response().BodyRaw([]byte(fmt.Sprintf("%d bytes, redacted", len(body))))
			ctx.Next()
		})
	})
	got := plugin.Do("redact", &sdktest.Request{
		Upstream: func(*http.Request) *sdktest.Answer { return &sdktest.Answer{Body: []byte("secret")} },
	})
	fmt.Println(string(got.Body))
	// Output: 6 bytes, redacted
}

func ExampleNewInitializer() {
	type config struct {
		Limit int `json:"limit"`
	}
	plugin := sdktest.New()
	plugin.Initialize(sdk.NewInitializer(func(c config) { fmt.Println("limit", c.Limit) }))
	if err := plugin.Configure(map[string]any{"limit": 10}); err != nil {
		fmt.Println(err)
	}
	// Output: limit 10
}

func ExampleRequest_BodyReader() {
	plugin := sdktest.New()
	plugin.AddPhaseHandler("count", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			body := ctx.Request().BodyReader()
			defer body.Close()
			n, err := io.Copy(io.Discard, body)
			ctx.Response().BodyText(fmt.Sprint(n, " bytes, ", err))
			ctx.End()
		})
	})
	fmt.Println(string(plugin.Do("count", &sdktest.Request{Method: "POST", Body: []byte("an upload")}).Body))
	// Output: 9 bytes, <nil>
}

func ExampleResponse_Stream() {
	plugin := sdktest.New()
	plugin.AddPhaseHandler("events", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().SetHeader("Content-Type", "text/event-stream")
			stream, err := ctx.Response().Stream()
			if err != nil {
				log.Print(err)
				return
			}
			defer stream.Close()
			for n := range 2 {
				if _, err := fmt.Fprintf(stream, "data: %d\n\n", n); err != nil {
					return // the client has left
				}
			}
		})
	})
	fmt.Printf("%q\n", plugin.Do("events", sdktest.Get("/")).Body)
	// Output: "data: 0\n\ndata: 1\n\n"
}

func ExamplePhaseRequestFilter_WebSocketUpgrade() {
	chat := func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			err := ctx.WebSocketUpgrade(sdk.WebSocketCallbacks{
				OnOpen:        func(ws *sdk.WebSocketConn) { _ = ws.JoinRoom("lobby") },
				OnMessageText: func(ws *sdk.WebSocketConn, msg string) { _ = ws.BroadcastText("lobby", msg) },
			})
			if err != nil { // no WebSocket request: the answer is still ours
				ctx.Response().SetStatus(sdk.StatusBadRequest)
				ctx.End()
			}
		})
	}
	plugin := sdktest.New()
	plugin.AddPhaseHandler("chat", chat)
	fmt.Println(plugin.Do("chat", sdktest.Get("/")).Status)
	ws, answer := plugin.Dial("chat", sdktest.Get("/"))
	if ws == nil {
		log.Fatal(answer.Status, answer.Err)
	}
	if err := ws.SendText("hello"); err != nil {
		log.Fatal(err)
	}
	message, err := ws.Receive()
	fmt.Println(answer.Status, message.Text(), err)
	ws.Close(1000, "")
	fmt.Println(ws.Wait().Phases)
	// Output:
	// 400
	// 101 hello <nil>
	// [request filter]
}

func ExamplePhaseRequestFilter_WebSocketUpgradeWith() {
	chat := func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			options := sdk.WebSocketOptions{Subprotocols: []string{"chat.v2", "chat.v1"}, MaxMessageBytes: 4 << 10}
			err := ctx.WebSocketUpgradeWith(options, sdk.WebSocketCallbacks{
				OnOpen: func(ws *sdk.WebSocketConn) {
					if ws.Subprotocol() == "" {
						_ = ws.CloseWith(4000, "no protocol in common")
					}
				},
			})
			if err != nil {
				ctx.Response().SetStatus(sdk.StatusBadRequest)
				ctx.End()
			}
		})
	}
	plugin := sdktest.New()
	plugin.AddPhaseHandler("chat", chat)
	ws, _ := plugin.Dial("chat", sdktest.Get("/", "Sec-WebSocket-Protocol", "chat.v1, mqtt"))
	fmt.Println(ws.Subprotocol())
	other, _ := plugin.Dial("chat", sdktest.Get("/", "Sec-WebSocket-Protocol", "mqtt"))
	_, err := other.Receive()
	fmt.Println(err)
	// Output:
	// chat.v1
	// the WebSocket is closed: 4000 no protocol in common
}
