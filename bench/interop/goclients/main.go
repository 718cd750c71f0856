// Command goclients runs sarama or kafka-go against a broker: one line per
// check, "ok NAME" or "FAIL NAME: why". It is a module of its own, so that
// these clients stay out of Millrace's dependencies.
//
//	goclients sarama|kafka-go HOST:PORT
package main

import (
	"fmt"
	"os"
	"time"
)

var (
	run    = fmt.Sprintf("%x", time.Now().UnixNano())
	failed bool
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: goclients sarama|kafka-go HOST:PORT")
		os.Exit(2)
	}
	switch addr := os.Args[2]; os.Args[1] {
	case "sarama":
		checkSarama(addr)
	case "kafka-go":
		checkKafkaGo(addr)
	default:
		fmt.Fprintf(os.Stderr, "no client %q: sarama or kafka-go\n", os.Args[1])
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func check(name string, f func() error) {
	if err := f(); err != nil {
		failed = true
		fmt.Printf("FAIL %s: %v\n", name, err)
		return
	}
	fmt.Println("ok " + name)
}

func until(what string, condition func() bool) error {
	for end := time.Now().Add(time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within a minute: %s", what)
		}
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
