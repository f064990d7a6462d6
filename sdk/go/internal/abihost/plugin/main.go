//go:build cgo

// A library that does everything the API can, for the host of package abihost. It registers its entries in main, which waits in
// select, as a worker on NATS does.
package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func main() {
	plugin := sdk.NewNylonPlugin()
	defer plugin.Close()
	register(plugin)
	select {}
}

func filter(fn func(ctx *sdk.PhaseRequestFilter)) func(*sdk.PhaseHandler) {
	return func(phase *sdk.PhaseHandler) { phase.RequestFilter(fn) }
}

func register(plugin sdk.Plugin) {
	configured := "no config"
	plugin.Initialize(func(config map[string]interface{}) {
		if config["explode"] == true {
			panic("as the configuration says")
		}
		configured = fmt.Sprint(config)
	})
	plugin.Shutdown(func() { fmt.Println("plugin: shut down") })
	plugin.AddPhaseHandler("config", filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().BodyText(configured)
		ctx.End()
	}))
	plugin.AddPhaseHandler("auth", filter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.Request().Header("Authorization") == "" {
			ctx.Response().SetStatus(401)
			ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
			ctx.End()
			return
		}
		ctx.Request().SetHeader("X-Auth-User", "alice")
		ctx.Next()
	}))
	plugin.AddPhaseHandler("phases", phases)
	plugin.AddPhaseHandler("reads", filter(reads))
	plugin.AddPhaseHandler("crowded", filter(crowded))
	plugin.AddPhaseHandler("headers", filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().SetHeader("X-A", "1")
		ctx.Response().SetHeader("x-a", "2") // one header
		ctx.Response().RemoveHeader("X-B")
		ctx.Response().SetHeader("X-B", "3") // stays
		ctx.Response().AddHeader("Set-Cookie", "a=1")
		ctx.Response().AddHeader("Set-Cookie", "b=2")
		ctx.Response().RemoveHeader("X-C")
		ctx.Next()
		ctx.Next()
		ctx.End()
		ctx.Response().SetHeader("X-Late", "1")
	}))
	plugin.AddPhaseHandler("redirect", filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().Redirect("/login", 303)
		ctx.End()
	}))
	plugin.AddPhaseHandler("setup", func(*sdk.PhaseHandler) { panic("no session today") })
	plugin.AddPhaseHandler("panics", func(phase *sdk.PhaseHandler) {
		phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
			ctx.Response().SetHeader("X-Half", "done")
			panic("in a request filter")
		})
		phase.ResponseFilter(func(*sdk.PhaseResponseFilter) { panic("in a response filter") })
		phase.ResponseBodyFilter(func(*sdk.PhaseResponseBodyFilter) { panic("in a body filter") })
		phase.Logging(func(*sdk.PhaseLogging) { panic("in logging") })
	})
	plugin.AddPhaseHandler("stream", filter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().SetStatus(201)
		stream, err := ctx.Response().Stream()
		if err != nil {
			panic(err)
		}
		for _, piece := range []string{"one", "two"} {
			if n, err := stream.Write([]byte(piece)); n != 3 || err != nil {
				panic(err)
			}
		}
		if err := stream.End(); err != nil {
			panic(err)
		}
		ctx.Next()
	}))
	plugin.AddPhaseHandler("cut", filter(func(ctx *sdk.PhaseRequestFilter) {
		stream, err := ctx.Response().Stream()
		if err != nil {
			panic(err)
		}
		_, _ = stream.Write([]byte("half"))
		panic("in the middle of a stream")
	}))
	plugin.AddPhaseHandler("pieces", func(phase *sdk.PhaseHandler) {
		phase.ResponseBodyStream(func(_ *sdk.PhaseResponseBodyFilter, r io.Reader, w io.Writer) error {
			body, err := io.ReadAll(r)
			if err == nil {
				_, err = io.WriteString(w, strings.ToUpper(string(body)))
			}
			return err
		})
	})
	plugin.AddPhaseHandler("waits", filter(func(ctx *sdk.PhaseRequestFilter) {
		if path := ctx.Request().Path(); path != "" { // else the session is over
			ctx.Response().SetHeader("X-Path", path)
		}
		ctx.Next()
	}))
	plugin.AddPhaseHandler("chat", filter(chat))
}

func phases(phase *sdk.PhaseHandler) {
	var path string // state of the session
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		path = ctx.Request().Path()
		ctx.Response().SetHeader("X-Payload", fmt.Sprint(ctx.GetPayload()["n"]))
		ctx.Next()
	})
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		ctx.SetResponseHeader("X-Path", path+" "+ctx.Response().Headers()["content-type"])
		ctx.SetResponseStatus(uint16(ctx.Response().Status() + 1))
		ctx.Next()
	})
	phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) {
		ctx.Response().BodyRaw(append(ctx.Response().ReadBody(), '!'))
		ctx.Next()
	})
	phase.Logging(func(ctx *sdk.PhaseLogging) {
		r := ctx.Response()
		fmt.Printf("plugin: %d, %d bytes, %d ms, error %q\n", r.Status(), r.Bytes(), r.Duration(), r.Error())
		ctx.Next()
	})
}

func reads(ctx *sdk.PhaseRequestFilter) {
	r := ctx.Request()
	ctx.Response().BodyText(fmt.Sprint(r.Method(), " ", r.URL(), " ", r.Path(), " ", r.Query(), " ", r.Params(), " ", r.Host(), " ",
		r.ClientIP(), " ", r.Bytes(), " ", r.Timestamp(), " ", string(r.RawBody()), " ", r.Header("X-A"), "|", r.Header("X-EMPTY"), "|",
		r.Header("absent"), "|", r.Headers().GetAll(), ctx.GetPayload()))
	ctx.End()
}

// crowded reads from many goroutines at once; each has to get its own answer.
func crowded(ctx *sdk.PhaseRequestFilter) {
	var all sync.WaitGroup
	for range 4 {
		for what, read := range map[string]func() string{
			"/p": ctx.Request().Path, "q=1": ctx.Request().Query, "GET": ctx.Request().Method,
			"body": func() string { return string(ctx.Request().RawBody()) },
		} {
			all.Go(func() {
				if got := read(); got != what {
					panic(fmt.Sprintf("got %q, want %q", got, what))
				}
			})
		}
	}
	all.Wait()
	ctx.End()
}

func chat(ctx *sdk.PhaseRequestFilter) {
	err := ctx.WebSocketUpgrade(sdk.WebSocketCallbacks{
		OnOpen: func(ws *sdk.WebSocketConn) { report(ws.JoinRoom("lobby")) },
		OnMessageText: func(ws *sdk.WebSocketConn, msg string) {
			if msg == "panic" {
				panic("in a message callback")
			}
			report(ws.SendText("echo " + msg))
			report(ws.BroadcastText("lobby", msg))
		},
		OnMessageBinary: func(ws *sdk.WebSocketConn, data []byte) {
			report(ws.SendBinary(data))
			report(ws.BroadcastBinary("lobby", data))
			if ws.JoinRoom("") == nil {
				panic("a room without a name")
			}
		},
		OnError: func(ws *sdk.WebSocketConn, text string) { report(ws.SendText("error " + text)) },
		OnClose: func(ws *sdk.WebSocketConn) {
			report(ws.LeaveRoom("lobby"))
			if ws.SendText("late") == nil {
				panic("a closed connection sends")
			}
		},
	})
	if err != nil {
		ctx.Response().SetStatus(400)
		ctx.Response().BodyText(err.Error())
		ctx.End()
		return
	}
	ctx.Next() // ignored
}

func report(err error) {
	if err != nil {
		fmt.Println("plugin:", err)
	}
}
