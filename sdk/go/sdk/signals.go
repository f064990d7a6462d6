package sdk

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// unattended are the workers of this process that nobody else ends: those of a main that waits in `select {}`. SIGTERM and
// SIGINT drain all of them and then end the process.
var unattended watched

type watched struct {
	mu      sync.Mutex
	plugins map[*NatsPlugin]struct{}
	came    chan os.Signal // nil: nobody watches
}

func (w *watched) add(p *NatsPlugin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plugins == nil {
		w.plugins = map[*NatsPlugin]struct{}{}
	}
	w.plugins[p] = struct{}{}
	if w.came == nil {
		w.came = make(chan os.Signal, 2)
		signal.Notify(w.came, syscall.SIGTERM, os.Interrupt)
		go w.watch(w.came)
	}
}

// remove leaves signals to the caller.
func (w *watched) remove(p *NatsPlugin) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.plugins, p)
	if len(w.plugins) == 0 && w.came != nil {
		signal.Stop(w.came)
		close(w.came) // nothing is sent to it any more
		w.came = nil
	}
}

func (w *watched) watch(came chan os.Signal) {
	first, more := <-came
	if !more {
		return
	}
	w.mu.Lock()
	w.came = nil // it is closed by nobody else from now on
	var all []*NatsPlugin
	for p := range w.plugins {
		all = append(all, p)
	}
	w.mu.Unlock()
	for _, p := range all {
		p.transport.worker.Drain()
	}
	for _, p := range all {
		select {
		case <-p.Done():
		case <-came: // a second signal does not wait
		}
	}
	signal.Stop(came)
	raise(first)
}

// raise ends the process as the signal would have; if the program has a handler of its own, that one gets the signal again.
func raise(s os.Signal) {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(s)
	}
	// The first process of a container is not ended by a signal that it does not handle.
	if err != nil || os.Getpid() == 1 {
		os.Exit(exitCode(s))
	}
}

func exitCode(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 1
}
