package natsworker

import (
	"strings"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// A server would close the connection of a worker that publishes to a longer one (SPEC 10.1).
func TestOnlySubjectsOfGatewaysAreAnswered(t *testing.T) {
	w := &Worker{replies: "nylon.v1.h."}
	fits := w.replies + strings.Repeat("a", wire.MaxSubject-len(w.replies))
	for subject, want := range map[string]bool{
		"nylon.v1.h.g.0.7": true, fits: true, fits + "a": false, "nylon.v1.w.g.0": false, "nylon.v1.h.g *": false, "": false,
	} {
		if w.isReply(subject) != want {
			t.Errorf("%.40q: %t", subject, !want)
		}
	}
}
