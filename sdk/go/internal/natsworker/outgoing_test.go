package natsworker

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// sent gives the lengths of the frames in each message, by subject.
func sent(t *testing.T, o *outgoing) (subjects []string, lengths [][]int) {
	t.Helper()
	for _, m := range o.takeAll() {
		subjects = append(subjects, m.subject)
		frame, err := wire.Decode(string(m.payload))
		if err != nil {
			t.Fatalf("%x: %v", m.payload, err)
		}
		each := []int{len(m.payload)}
		if batch, ok := frame.(*wire.Batch); ok {
			each = nil
			for _, inner := range batch.Frames {
				each = append(each, len(inner))
			}
		}
		lengths = append(lengths, each)
		o.give(m.payload)
	}
	return subjects, lengths
}

// data is a frame of 40 bytes more than its piece, at most.
func data(piece int) *wire.Data { return &wire.Data{Bytes: make([]byte, piece)} }

func TestFramesForOneGatewayThreadShareAMessage(t *testing.T) {
	o := &outgoing{}
	for range 2 {
		o.frame("h.g.0", "h.g.0.7", &wire.Probe{}, wire.MaxBatch)
		o.frame("h.g.1", "h.g.1.7", &wire.Probe{}, wire.MaxBatch)
		o.frame("h.g.0", "h.g.0.12", &wire.Probe{}, wire.MaxBatch)
		subjects, lengths := sent(t, o)
		if !slices.Equal(subjects, []string{"h.g.0.7", "h.g.1.7"}) || len(lengths[0]) != 2 || len(lengths[1]) != 1 {
			t.Errorf("%v %v", subjects, lengths)
		}
	}
}

func TestWhatDoesNotFitTravelsAfterWhatCameBefore(t *testing.T) {
	o := &outgoing{}
	for _, piece := range []int{250, 250, 250, 900, 250} {
		o.frame("h.g.0", "h.g.0.7", data(piece), 1000)
	}
	_, lengths := sent(t, o)
	counts := []int{}
	for _, each := range lengths {
		counts = append(counts, len(each))
	}
	if !slices.Equal(counts, []int{3, 1, 1}) || lengths[1][0] < 900 {
		t.Errorf("%v", lengths)
	}
}

func TestABatchIsNoLongerThan64KiB(t *testing.T) {
	o := &outgoing{}
	for range 1000 {
		o.frame("h.g.0", "h.g.0.7", data(200), wire.MaxBatch)
	}
	total := 0
	for _, m := range o.takeAll() {
		if len(m.payload) > wire.MaxBatch {
			t.Errorf("%d bytes", len(m.payload))
		}
		frame, err := wire.Decode(string(m.payload))
		if err != nil {
			t.Fatal(err)
		}
		total += len(frame.(*wire.Batch).Frames)
	}
	if total != 1000 {
		t.Error(total)
	}
}

func TestManyGatewaysAreNotRemembered(t *testing.T) {
	o := &outgoing{}
	for number := range 1000 {
		gateway := fmt.Sprintf("h.g%d.0", number)
		o.frame(gateway, gateway+".1", &wire.Probe{}, wire.MaxBatch)
		if len(o.batches) > keptBatches {
			t.Fatal(len(o.batches))
		}
	}
	if subjects, _ := sent(t, o); len(subjects) != 1000 {
		t.Error(len(subjects))
	}
}

func TestAResultThatIsTooLargeIsFoundByItsID(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	g := stage(t, func(o *Options) { o.Logger, o.MaxBody = logger, 10 },
		finishing(1, wire.End, wire.Operation{Number: wire.OpSetResponseFullBody, Bytes: make([]byte, 1<<20)}))
	open := g.open()
	open.Snapshot.RequestID = "a-request"
	g.queue(open)
	if failed := next[*wire.Error](g); failed.Code != wire.FailBodyTooLarge || failed.LogID == nil || *failed.LogID != "a-request" {
		t.Errorf("%+v", failed)
	}
	g.eventually("the log", func(*Worker) bool { return strings.Contains(log.String(), "id=a-request") })
}
