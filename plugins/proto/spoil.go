//go:build !race

package proto

func spoil([]byte) {}
