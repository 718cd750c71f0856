package commitlog

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendfile copies from the page cache to the socket in the kernel. It names
// the file position, which readers of one file do not share then.
func (c *Chunk) sendfile(w io.Writer) (n int64, handled bool, err error) {
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return 0, false, nil
	}
	f, off, size := c.Section()
	if f == nil || size == 0 {
		return 0, false, nil
	}
	conn, err := w.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, true, err
	}
	var sendErr error
	err = conn.Write(func(fd uintptr) bool {
		for n < size {
			m, err := unix.Sendfile(int(fd), int(f.Fd()), &off, int(min(size-n, 1<<30)))
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false // until the socket can be written again
			case err != nil:
				sendErr = storage("sendfile", c.seg.name, err)
				return true
			case m == 0:
				sendErr = storage("sendfile", c.seg.name, io.ErrUnexpectedEOF)
				return true
			}
			n += int64(m)
		}
		return true
	})
	if err == nil {
		err = sendErr
	}
	return n, true, err
}
