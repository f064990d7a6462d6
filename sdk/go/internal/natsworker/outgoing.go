package natsworker

import (
	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// outgoing is what waits to be published: frames for the same gateway thread that are ready together share a message
// (SPEC 4.11, 4.12).
type outgoing struct {
	messages []message
	batches  []*outBatch
}

type message struct {
	subject, reply string
	payload        []byte
}

// outBatch holds frames for one gateway thread, in their order.
type outBatch struct {
	subject string // where the first frame goes
	gateway string
	frames  []byte
	ends    []int
}

const (
	// batchOverhead is what a BATCH needs for each frame besides its bytes, at most.
	batchOverhead = 5
	// keptBatches: more gateway threads than this are not remembered between two turns.
	keptBatches = 64
)

// frame queues a session frame.
func (o *outgoing) frame(gateway, subject string, frame wire.Frame, most int) {
	batch := o.batchFor(gateway)
	start := len(batch.frames)
	batch.frames = wire.Append(batch.frames, frame)
	if start > 0 && len(batch.frames)+batchOverhead*(len(batch.ends)+2) > most {
		// What does not fit goes into a message after this one, so that the order is kept.
		last := append([]byte(nil), batch.frames[start:]...)
		batch.frames = batch.frames[:start]
		o.close(batch)
		batch.frames = last
	}
	if len(batch.ends) == 0 {
		batch.subject = subject
	}
	batch.ends = append(batch.ends, len(batch.frames))
}

func (o *outgoing) batchFor(gateway string) *outBatch {
	for _, batch := range o.batches {
		if batch.gateway == gateway {
			return batch
		}
	}
	if len(o.batches) >= keptBatches {
		o.closeAll()
		o.batches = nil
	}
	batch := &outBatch{gateway: gateway}
	o.batches = append(o.batches, batch)
	return batch
}

// alone queues a message that is never part of a batch.
func (o *outgoing) alone(subject, reply string, frame wire.Frame) {
	o.messages = append(o.messages, message{subject, reply, wire.Append(nil, frame)})
}

// close makes a message of a batch.
func (o *outgoing) close(batch *outBatch) {
	switch len(batch.ends) {
	case 0:
		return
	case 1:
		o.messages = append(o.messages, message{subject: batch.subject, payload: batch.frames})
	default:
		frames := make([]string, 0, len(batch.ends))
		all, start := string(batch.frames), 0
		for _, end := range batch.ends {
			frames = append(frames, all[start:end])
			start = end
		}
		payload := wire.Append(make([]byte, 0, len(all)+batchOverhead*(len(frames)+2)), &wire.Batch{Frames: frames})
		o.messages = append(o.messages, message{subject: batch.subject, payload: payload})
	}
	batch.frames, batch.ends = nil, batch.ends[:0]
}

func (o *outgoing) closeAll() {
	for _, batch := range o.batches {
		o.close(batch)
	}
}

// takeAll gives every message that waits, in order.
func (o *outgoing) takeAll() []message {
	o.closeAll()
	messages := o.messages
	o.messages = nil
	return messages
}
