package testnet

import (
	"fmt"
	"net"
	"strings"
	"sync"
)

const platformScheme = "tcp://"

// settlePlatform gives m a platform endpoint, if o and its type say so.
func (m *Member) settlePlatform(o Options, host string, port int) {
	if o.Platforms && m.Evo {
		m.Platform = fmt.Sprintf("%s%s:%d", platformScheme, host, port)
	}
}

// PlatformService takes connections at a member's platform endpoint, and does
// nothing else: it shows that the platform is alive.
type PlatformService struct {
	listener net.Listener
	done     sync.WaitGroup
}

// NewPlatformService listens at the platform endpoint of m.
func NewPlatformService(m Member) (*PlatformService, error) {
	l, err := net.Listen("tcp", strings.TrimPrefix(m.Platform, platformScheme))
	if err != nil {
		return nil, fmt.Errorf("testnet: platform of %s: %w", m.Name, err)
	}
	p := &PlatformService{listener: l}
	p.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.Close()
		}
	})
	return p, nil
}

// Close ends the service: nobody answers there any more.
func (p *PlatformService) Close() error {
	err := p.listener.Close()
	p.done.Wait()
	return err
}
