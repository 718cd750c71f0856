//go:build race

package proto

// spoil overwrites memory that is given back, so that tests under the race
// detector show who uses it nevertheless.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
