package natsworker

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/AssetsArt/nylon/sdk/go/internal/wire"
)

// service is what `nats micro ls|info|stats` sees (ADR-32).
type service struct {
	name    string
	started string
}

func newService(options Options) service {
	return service{wire.ServiceName(options.Group), time.Now().UTC().Format("2006-01-02T15:04:05.000Z")}
}

type srvAnswer struct {
	Type        string            `json:"type"`
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	Version     string            `json:"version"`
	Metadata    map[string]string `json:"metadata"`
	Description string            `json:"description,omitempty"`
	Started     string            `json:"started,omitempty"`
	Endpoints   []srvEndpoint     `json:"endpoints,omitempty"`
}

type srvEndpoint struct {
	Name       string            `json:"name"`
	Subject    string            `json:"subject"`
	QueueGroup string            `json:"queue_group"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	*srvStats
}

type srvStats struct {
	Requests   uint64         `json:"num_requests"`
	Errors     uint64         `json:"num_errors"`
	LastError  string         `json:"last_error"`
	Processing time.Duration  `json:"processing_time"`
	Average    time.Duration  `json:"average_processing_time"`
	Data       map[string]any `json:"data"`
}

// subjects are where it is asked, and what answers.
func (s service) subjects(w *Worker) map[string]nats.MsgHandler {
	found := map[string]nats.MsgHandler{}
	for verb, answer := range map[string]func() srvAnswer{"PING": w.ping, "INFO": w.info, "STATS": w.stats} {
		handle := func(m *nats.Msg) {
			if m.Reply == "" {
				return
			}
			text, err := json.Marshal(answer())
			if err == nil {
				err = m.Respond(text)
			}
			if err != nil {
				w.options.Logger.Warn("nylon worker: answering a service question", "error", err)
			}
		}
		found["$SRV."+verb] = handle
		found["$SRV."+verb+"."+s.name] = handle
		found["$SRV."+verb+"."+s.name+"."+w.id] = handle
	}
	return found
}

func (w *Worker) answer(kind string) srvAnswer {
	return srvAnswer{
		Type: "io.nats.micro.v1." + kind + "_response", Name: w.service.name, ID: w.id, Version: w.options.Version,
		Metadata: map[string]string{"nylon.sdk": "go"},
	}
}

func (w *Worker) ping() srvAnswer { return w.answer("ping") }

func (w *Worker) info() srvAnswer {
	answer := w.answer("info")
	answer.Description = "nylon worker of group " + w.options.Group
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.order {
		answer.Endpoints = append(answer.Endpoints, w.endpoint(e))
	}
	return answer
}

func (w *Worker) stats() srvAnswer {
	answer := w.answer("stats")
	answer.Started = w.service.started
	w.mu.Lock()
	defer w.mu.Unlock()
	state := map[wire.WorkerState]string{
		wire.Ready: "ready", wire.Initializing: "initializing", wire.FailedFirst: "failed_first",
		wire.FailedKeepingOld: "failed_keeping_old",
	}[w.init.state()]
	for _, e := range w.order {
		endpoint := w.endpoint(e)
		endpoint.srvStats = &srvStats{
			Requests: e.requests, Errors: e.errors, LastError: e.lastError, Processing: e.handling,
			Average: e.handling / time.Duration(max(e.requests, 1)),
			Data:    map[string]any{"config": state, "config_error": w.init.lastError, "worker": w.counts},
		}
		answer.Endpoints = append(answer.Endpoints, endpoint)
	}
	return answer
}

func (w *Worker) endpoint(e *entry) srvEndpoint {
	subject, err := wire.Subject(w.options.Prefix, "open", w.options.Group, e.name)
	if err != nil { // an entry with such a name was never added
		subject = ""
	}
	group, err := wire.Escape(w.options.Group)
	if err != nil {
		group = ""
	}
	return srvEndpoint{Name: wire.ServiceName(e.name), Subject: subject, QueueGroup: group}
}
