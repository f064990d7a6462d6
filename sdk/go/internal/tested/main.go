// The plugin of the end-to-end tests, tests/e2e/plugins/tested.py in Go: what each request does is asked for by its headers.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

// note is a line in the worker's output that tests look for.
func note(values map[string]any) {
	text, err := json.Marshal(values)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stdout, "NOTE %s\n", text)
}

func main() {
	var options []sdk.NatsOption
	if limit, err := time.ParseDuration(os.Getenv("TESTED_DRAIN")); err == nil {
		options = append(options, sdk.WithDrainTimeout(limit))
	}
	if n := os.Getenv("TESTED_OWN_CONFIG"); n != "" {
		options = append(options, sdk.WithConfig(map[string]interface{}{"own": n}))
	}
	plugin, err := sdk.NewNatsPlugin("", "", options...)
	if err != nil {
		log.Fatal(err)
	}
	defer plugin.Close()
	plugin.Shutdown(func() { note(map[string]any{"shutdown": true}) })
	if os.Getenv("TESTED_CONFIG") != "" {
		plugin.Initialize(initialize)
	}
	register(plugin)
	if group := os.Getenv("TESTED_SECOND_GROUP"); group != "" {
		second, err := sdk.NewNatsPlugin("", group)
		if err != nil {
			log.Fatal(err)
		}
		defer second.Close()
		second.AddPhaseHandler("slow", slow)
	}
	select {}
}

// register registers every entry with a plugin of any transport.
func register(plugin sdk.Plugin) {
	for name, handler := range map[string]func(*sdk.PhaseHandler){
		"auth": auth, "service": service, "filter": filter, "digest": digest, "big": big, "answers": answers,
		"decorate": decorate, "reader": reader, "slow": slow, "configured": configured, "silent": silent,
	} {
		plugin.AddPhaseHandler(name, handler)
	}
	for name, handler := range streaming {
		plugin.AddPhaseHandler(name, handler)
	}
	for name, handler := range sockets {
		plugin.AddPhaseHandler(name, handler)
	}
}

func auth(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		if ctx.Request().Header("Authorization") != "Bearer secret" {
			ctx.Response().SetStatus(401)
			ctx.Response().SetHeader("WWW-Authenticate", "Bearer")
			ctx.Response().BodyJSON(map[string]string{"error": "unauthorized"})
			ctx.End()
			return
		}
		ctx.Request().SetHeader("X-Auth-User", "alice")
		ctx.Next()
	})
}

func service(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		behave(ctx.Request().Header("x-service"), "service", ctx.Request(), ctx.Response(), phase)
		ctx.Response().BodyJSON(map[string]any{"pid": os.Getpid(), "path": ctx.Request().Path()})
		ctx.End()
	})
}

// behave misbehaves as a header asks for.
func behave(what, where string, request *sdk.Request, response *sdk.Response, phase *sdk.PhaseHandler) {
	switch what {
	case "raise":
		panic("asked to panic in " + where)
	case "exit":
		runtime.Goexit()
	case "kill":
		// sleep: until ACCEPT is out, so that nobody else gets the request
		time.Sleep(150 * time.Millisecond)
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		log.Fatal(err)
	case "hang":
		note(map[string]any{"hanging": where, "id": request.Header("x-id")})
		select {
		case <-phase.Context().Done():
		case <-time.After(30 * time.Second):
		}
		note(map[string]any{"hung": where, "cancelled": phase.Context().Err() != nil, "id": request.Header("x-id")})
	case "bad_status":
		response.SetStatus(99)
	case "bad_header":
		response.SetHeader("x-bad", "a\r\nInjected: yes")
	}
}

func filter(phase *sdk.PhaseHandler) {
	var trail []string
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		trail = append(trail, "request")
		behave(ctx.Request().Header("x-rf"), "request_filter", ctx.Request(), ctx.Response(), phase)
		ctx.Request().SetHeader("X-From-Plugin", "yes")
		if end := ctx.Request().Header("x-end"); end != "" {
			status, _ := strconv.Atoi(end)
			ctx.Response().SetStatus(uint16(status))
			ctx.Response().BodyText("ended")
			ctx.End()
			ctx.Next() // a surplus call: ignored
			return
		}
		ctx.Next()
		ctx.End() // a surplus call: ignored
	})
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		trail = append(trail, "response")
		behave(ctx.GetRequestHeader("X-Pf"), "response_filter", ctx.Request(), ctx.Response(), phase)
		ctx.SetResponseHeader("X-Trail", strings.Join(trail, ","))
		ctx.SetResponseHeader("X-Seen-Status", strconv.Itoa(ctx.Response().Status()))
		ctx.Next()
	})
	phase.ResponseBodyFilter(func(ctx *sdk.PhaseResponseBodyFilter) {
		trail = append(trail, "body")
		behave(ctx.Request().Header("x-bf"), "response_body_filter", ctx.Request(), ctx.Response(), phase)
		if ctx.Request().Header("x-upper") != "" {
			ctx.Response().BodyRaw([]byte(strings.ToUpper(string(ctx.Response().ReadBody()))))
		}
		ctx.Next()
	})
	phase.Logging(func(ctx *sdk.PhaseLogging) {
		trail = append(trail, "logging")
		behave(ctx.Request().Header("x-lf"), "logging", ctx.Request(), ctx.Response(), phase)
		var failure any
		if text := ctx.Response().Error(); text != "" {
			failure = text
		}
		note(map[string]any{
			"trail": trail, "id": ctx.Request().Header("x-id"), "status": ctx.Response().Status(),
			"bytes": ctx.Response().Bytes(), "error": failure,
		})
		ctx.Next()
	})
}

func digest(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		sum := sha256.Sum256(ctx.Request().RawBody())
		ctx.Request().SetHeader("X-Digest", hex.EncodeToString(sum[:]))
		ctx.Next()
	})
}

func reader(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		note(map[string]any{"reads": ctx.Request().Header("x-id")})
		if _, err := ctx.Request().RawBodyErr(); err != nil {
			note(map[string]any{"unread": err.Error(), "id": ctx.Request().Header("x-id")})
			ctx.Response().SetStatus(422)
			ctx.Response().BodyText(err.Error())
			ctx.End()
			return
		}
		ctx.Next()
	})
}

func big(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		size, _ := strconv.Atoi(ctx.Request().Header("x-size"))
		ctx.Response().BodyRaw([]byte(strings.Repeat("0123456789", size/10)))
		ctx.End()
	})
}

func answers(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		response := ctx.Response()
		switch ctx.Request().Path() {
		case "/redirect":
			response.Redirect("/elsewhere", 307)
		case "/html":
			response.BodyHTML("<p>hello</p>")
		case "/json":
			response.BodyJSON(map[string]any{"payload": ctx.GetPayload(), "query": ctx.Request().Query()})
		case "/cookies":
			response.AddHeader("Set-Cookie", "a=1")
			response.AddHeader("Set-Cookie", "b=2")
			response.BodyText("")
		case "/nojson":
			response.BodyJSON(func() {})
		case "/stream":
			response.BodyText("dropped")
			stream, err := response.Stream()
			if err == nil {
				_, err = stream.Write([]byte("streamed"))
			}
			if err == nil {
				err = stream.Close()
			}
			if err != nil {
				panic(err)
			}
			return
		default:
			response.SetHeader("X-One", "1")
			response.SetHeader("x-one", "2")
			response.RemoveHeader("X-Two")
			response.SetHeader("Content-Length", "3")
			response.SetHeader("Connection", "close")
		}
		ctx.End()
	})
}

func decorate(phase *sdk.PhaseHandler) {
	phase.ResponseFilter(func(ctx *sdk.PhaseResponseFilter) {
		ctx.SetResponseHeader("X-Decorated", "yes")
		behave(ctx.GetRequestHeader("X-Pf"), "response_filter", ctx.Request(), ctx.Response(), phase)
		ctx.Next()
	})
}

// slow ends its phase from another goroutine, after the callback has returned.
func slow(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		wait, _ := strconv.Atoi(ctx.Request().Header("x-ms"))
		phase.Go(func() {
			select {
			case <-time.After(time.Duration(wait) * time.Millisecond):
				ctx.Request().SetHeader("X-Auth-User", "slow")
				ctx.Next()
			case <-phase.Context().Done():
				note(map[string]any{"cancelled": ctx.Request().Header("x-id")})
			}
		})
	})
}

var config map[string]interface{}

func initialize(values map[string]interface{}) {
	note(map[string]any{"initialize": values})
	if values["refuse"] == true {
		panic("asked to refuse")
	}
	if ms, ok := values["slow_ms"].(float64); ok {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	config = values
}

func configured(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(ctx *sdk.PhaseRequestFilter) {
		ctx.Response().BodyJSON(config)
		ctx.End()
	})
}

// silent forgets to end its phase.
func silent(phase *sdk.PhaseHandler) {
	phase.RequestFilter(func(*sdk.PhaseRequestFilter) {})
}
