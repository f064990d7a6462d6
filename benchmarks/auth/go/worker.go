//go:build !cgo

package main

import (
	"context"
	"log"
	"log/slog"

	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func main() {
	slog.SetLogLoggerLevel(slog.LevelError)
	plugin, err := sdk.NewNatsPlugin("", "")
	if err != nil {
		log.Fatal(err)
	}
	register(plugin)
	if err := plugin.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
