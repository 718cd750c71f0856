package host

import (
	"os/exec"
	"runtime"
)

// spawner starts processes from one operating system thread. The signal that
// a child gets when its parent dies is tied to the thread that forked it, and
// Go ends threads as it sees fit: this one lives as long as the host.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	defer close(s.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // a goroutine that ends locked takes its thread along
	for r := range s.requests {
		r.result <- r.cmd.Start()
	}
}

// start starts a process. It must not be called during or after close.
func (s *spawner) start(cmd *exec.Cmd) error {
	r := spawnRequest{cmd, make(chan error, 1)}
	s.requests <- r
	return <-r.result
}

func (s *spawner) close() {
	close(s.requests)
	<-s.done
}
