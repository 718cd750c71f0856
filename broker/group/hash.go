package group

import "unicode/utf16"

// Partition returns the partition of __consumer_offsets, out of n, that holds
// a group: Java's String.hashCode over UTF-16 code units, its absolute value
// (0 for the smallest int), modulo n.
func Partition(group string, n int32) int32 {
	var h int32
	for _, r := range group {
		if a, b := utf16.EncodeRune(r); a != '\ufffd' {
			h = 31*(31*h+a) + b
			continue
		}
		h = 31*h + r
	}
	return max(h, -h, 0) % n // -h of the smallest int is itself
}
