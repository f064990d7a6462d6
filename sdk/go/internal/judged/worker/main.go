// The plugin of the conformance suite as a worker; conformance/README.md has the variables.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/AssetsArt/nylon/sdk/go/internal/judged"
	"github.com/AssetsArt/nylon/sdk/go/sdk"
)

func main() {
	plugin, err := sdk.NewNatsPlugin("", "", options()...)
	if err != nil {
		log.Fatal(err)
	}
	judged.Register(plugin)
	if err := plugin.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func options() []sdk.NatsOption {
	var all []sdk.NatsOption
	if n := number("TESTEE_MAX_SESSIONS"); n > 0 {
		all = append(all, sdk.WithMaxSessions(int(n)))
	}
	if n := number("TESTEE_MAX_BODY_BYTES"); n > 0 {
		all = append(all, sdk.WithMaxBody(int(n)))
	}
	if n := number("TESTEE_DRAIN_SECONDS"); n > 0 {
		all = append(all, sdk.WithDrainTimeout(time.Duration(n*float64(time.Second))))
	}
	return all
}

// number is 0 where the variable is not set.
func number(variable string) float64 {
	text := os.Getenv(variable)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatalf("reading %s: %v", variable, err)
	}
	return n
}
