package store

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a test leaves a goroutine of this package behind.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); code == 0; runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "millrace/connect/store.(*") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Println("goroutines left:\n" + stacks)
			code = 1
		}
	}
	os.Exit(code)
}
