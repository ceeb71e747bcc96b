package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/config"
	"github.com/proctornet/proctor/node"
	"github.com/proctornet/proctor/wire"
)

// signing is what the commands that sign events have in common.
type signing struct {
	path                      string // of the configuration
	staker, operator, service string // key files
	node                      string // ProTxHash, or name in the genesis
	sequence, amount          positive
	addresses                 []string
	platform                  string // endpoint
	reason                    string
	evo                       bool
	submit, asJSON            bool
}

// unanswered marks an error of the running node, not of the input.
type unanswered struct{ error }

func (u unanswered) Unwrap() error { return u.error }

// positive is the value of a flag: a number of 64 bits, at least 1.
type positive uint64

func (p *positive) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*p), 10)
}
func (p *positive) Type() string { return "number" }

// Set reads the number. The flag's name and what was given are added by pflag.
func (p *positive) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return fmt.Errorf("want a whole number from 1 to %d", uint64(math.MaxUint64))
	}
	*p = positive(n)
	return nil
}

// The flags, by name.
const (
	stakerFlag   = stakerKind + "-key"
	operatorFlag = operatorKind + "-key"
	serviceFlag  = serviceKind + "-key"
	nodeFlag     = "node"
	amountFlag   = "amount"
	addressFlag  = "address"
	platformFlag = "platform"
	reasonFlag   = "reason"
	evoFlag      = "evo"
)

const signingHelp = `

The event is printed as hex digits; with --json, as all its fields; with --submit it
is handed to the running node instead, and its verdict printed.

With --sequence nothing is asked: the network is that of the genesis that the
configuration names. Without it the running node is asked for both. The sequence
number is that of the last accepted event of the same %s, plus 1.

Exit codes: 0 signed, or accepted; 1 not accepted or no answer; 2 the input cannot be
used.`

// command makes a command that signs.
func (s *signing) command(c *cobra.Command, record string, flags, required []string, sign func(*signing, context.Context) (wire.Event, error)) *cobra.Command {
	c.Long += fmt.Sprintf(signingHelp, record)
	c.Args = cobra.NoArgs
	for _, f := range flags {
		s.flag(c, f, slices.Contains(required, f))
	}
	c.Flags().Var(&s.sequence, "sequence", "sequence number of the event; asked from the running node when left out")
	c.Flags().BoolVar(&s.submit, "submit", false, "hand the event to the running node")
	c.Flags().StringVar(&s.path, "config", "proctor.toml", "configuration file: names the genesis and where the running node is asked")
	jsonFlag(c, &s.asJSON)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := need(c, required...); err != nil {
			return err
		}
		event, err := sign(s, c.Context())
		if err == nil {
			_, err = wire.ParseEvent(event.Bytes()) // or nobody could read it
		}
		switch asked := (unanswered{}); {
		case errors.As(err, &asked):
			return asked.error
		case err != nil:
			return unusable{err}
		}
		info := node.DescribeEvent(event)
		switch {
		case s.submit:
			return submitEvent(c, s.path, info.Hex, s.asJSON)
		case s.asJSON:
			return printJSON(c.OutOrStdout(), info)
		default:
			_, err := fmt.Fprintln(c.OutOrStdout(), info.Hex)
			return err
		}
	}
	return c
}

func (s *signing) flag(c *cobra.Command, name string, required bool) {
	mark := ""
	if required {
		mark = " (required)"
	}
	f := c.Flags()
	switch name {
	case stakerFlag:
		f.StringVar(&s.staker, name, "", "file of the staker's key"+mark)
	case operatorFlag:
		f.StringVar(&s.operator, name, "", "file of the node's operator key"+mark)
	case serviceFlag:
		f.StringVar(&s.service, name, "", "file of the node's service key"+mark)
	case nodeFlag:
		f.StringVar(&s.node, name, "", "service node: ProTxHash, or name in the genesis"+mark)
	case amountFlag:
		f.Var(&s.amount, name, "stake, in units of the genesis"+mark)
	case addressFlag:
		f.StringSliceVar(&s.addresses, name, nil, fmt.Sprintf("multiaddress that peers reach the node at; may be given %d times%s", wire.MaxAddresses, mark))
	case platformFlag:
		f.StringVar(&s.platform, name, "", "endpoint of an evonode's platform service: tcp://host:port, http://.. or https://.."+mark)
	case reasonFlag:
		f.StringVar(&s.reason, name, node.RevokeReasons[0], strings.Join(node.RevokeReasons[:], ", "))
	case evoFlag:
		f.BoolVar(&s.evo, name, false, "register an evonode, not a regular masternode")
	}
}

func eventRegisterCommand() *cobra.Command {
	s := new(signing)
	return s.command(&cobra.Command{
		Use:   "register",
		Short: "Sign the registration of a service node",
		Long: `Sign the registration of a new service node with the keys of its staker, operator and
service. Its ProTxHash follows from the event (--json shows it). The node awaits more
stake (proctor event contribute) until it has what the network requires. Without an
address it starts PoSe-banned, until an update-service names one.`,
		Example: `  proctor event register --staker-key staker.key --operator-key operator.key --service-key service.key \
    --amount 1000 --address /ip4/203.0.113.7/tcp/19850 --submit
  proctor event register --staker-key staker.key --operator-key operator.key --service-key service.key \
    --amount 250 --evo --sequence 1 --json`,
	}, stakerKind, []string{stakerFlag, operatorFlag, serviceFlag, amountFlag, addressFlag, platformFlag, evoFlag},
		[]string{stakerFlag, operatorFlag, serviceFlag, amountFlag}, (*signing).register)
}

func eventContributeCommand() *cobra.Command {
	s := new(signing)
	return s.command(&cobra.Command{
		Use:   "contribute",
		Short: "Sign a contribution of stake to a service node",
		Long: `Sign a contribution of stake to a service node that awaits it. A contribution is at
least an even share of what is missing among the places for stakers left.`,
		Example: `  proctor event contribute --staker-key staker.key --node PROTXHASH --amount 750 --submit`,
	}, stakerKind, []string{stakerFlag, nodeFlag, amountFlag}, []string{stakerFlag, nodeFlag, amountFlag}, (*signing).contribute)
}

func eventUpdateServiceCommand() *cobra.Command {
	s := new(signing)
	return s.command(&cobra.Command{
		Use:   "update-service",
		Short: "Sign where a service node is reached; revives it from a PoSe ban",
		Long: `Sign the addresses at which a service node is reached, and the endpoint of an evonode's
platform service. They replace those it had: what is left out it has no more. A
PoSe-banned node is revived, its score is 0 again.`,
		Example: `  proctor event update-service --node evo-1 --operator-key operator.key --address /ip4/203.0.113.7/tcp/19850 --submit`,
	}, "service node", []string{operatorFlag, nodeFlag, addressFlag, platformFlag}, []string{operatorFlag, nodeFlag, addressFlag}, (*signing).updateService)
}

func eventRevokeCommand() *cobra.Command {
	s := new(signing)
	return s.command(&cobra.Command{
		Use:   "revoke",
		Short: "Sign that an operator gives up a service node, for good",
		Long: `Sign that the operator gives up a service node: it is PoSe-banned for good and its
operator key is void. Its stakers may let it exit and register another.`,
		Example: `  proctor event revoke --node evo-1 --operator-key operator.key --reason compromised-keys --submit`,
	}, "service node", []string{operatorFlag, nodeFlag, reasonFlag}, []string{operatorFlag, nodeFlag}, (*signing).revoke)
}

func eventExitCommand() *cobra.Command {
	s := new(signing)
	return s.command(&cobra.Command{
		Use:   "exit",
		Short: "Sign that a service node shall leave in good order",
		Long: `Sign that a service node shall leave in good order. Any of its stakers may. It serves
on, and is tested, until the network's exit delay has passed; then its stake is free.`,
		Example: `  proctor event exit --node evo-1 --staker-key staker.key --submit`,
	}, stakerKind, []string{stakerFlag, nodeFlag}, []string{stakerFlag, nodeFlag}, (*signing).exit)
}

func (s *signing) register(ctx context.Context) (wire.Event, error) {
	staker, err := ed25519File(stakerFlag, s.staker)
	if err != nil {
		return nil, err
	}
	service, err := ed25519File(serviceFlag, s.service)
	if err != nil {
		return nil, err
	}
	operator, err := s.operatorFile()
	if err != nil {
		return nil, err
	}
	if err := s.checkAddresses(0); err != nil {
		return nil, err
	}
	if s.platform != "" && !s.evo {
		return nil, fmt.Errorf("--%s: a regular masternode has no platform service, give --%s too", platformFlag, evoFlag)
	}
	e := wire.Register{
		Staker: wire.StakerKey(public(staker)), Evo: s.evo, OperatorKey: wire.OperatorKey(operator.PublicKey().Bytes()),
		ServiceKey: wire.ServiceKey(public(service)), Addresses: s.addresses, Platform: s.platform, Amount: uint64(s.amount),
	}
	if e.EventHead, err = s.head(ctx, "staker", e.Staker.String()); err != nil {
		return nil, err
	}
	hash := e.SignHash()
	e.OperatorProof, e.ServiceProof, e.Signature = operator.Sign(hash).Bytes(), signed(service, hash), signed(staker, hash)
	return e, nil
}

func (s *signing) contribute(ctx context.Context) (wire.Event, error) {
	staker, err := ed25519File(stakerFlag, s.staker)
	if err != nil {
		return nil, err
	}
	e := wire.Contribute{Staker: wire.StakerKey(public(staker)), Amount: uint64(s.amount)}
	if e.ProTxHash, err = s.proTxHash(); err != nil {
		return nil, err
	}
	if e.EventHead, err = s.head(ctx, "staker", e.Staker.String()); err != nil {
		return nil, err
	}
	e.Signature = signed(staker, e.SignHash())
	return e, nil
}

func (s *signing) exit(ctx context.Context) (wire.Event, error) {
	staker, err := ed25519File(stakerFlag, s.staker)
	if err != nil {
		return nil, err
	}
	e := wire.Exit{Staker: wire.StakerKey(public(staker))}
	if e.ProTxHash, err = s.proTxHash(); err != nil {
		return nil, err
	}
	if e.EventHead, err = s.head(ctx, "staker", e.Staker.String()); err != nil {
		return nil, err
	}
	e.Signature = signed(staker, e.SignHash())
	return e, nil
}

func (s *signing) updateService(ctx context.Context) (wire.Event, error) {
	operator, err := s.operatorFile()
	if err != nil {
		return nil, err
	}
	if err := s.checkAddresses(1); err != nil {
		return nil, err
	}
	e := wire.UpdateService{Addresses: s.addresses, Platform: s.platform}
	if e.ProTxHash, err = s.proTxHash(); err != nil {
		return nil, err
	}
	if e.EventHead, err = s.head(ctx, "node", e.ProTxHash.String()); err != nil {
		return nil, err
	}
	e.Signature = operator.Sign(e.SignHash()).Bytes()
	return e, nil
}

func (s *signing) revoke(ctx context.Context) (wire.Event, error) {
	operator, err := s.operatorFile()
	if err != nil {
		return nil, err
	}
	reason := slices.Index(node.RevokeReasons[:], s.reason)
	if reason < 0 {
		return nil, fmt.Errorf("--%s: %.40q is unknown; known: %s", reasonFlag, s.reason, strings.Join(node.RevokeReasons[:], ", "))
	}
	e := wire.Revoke{Reason: uint8(reason)}
	if e.ProTxHash, err = s.proTxHash(); err != nil {
		return nil, err
	}
	if e.EventHead, err = s.head(ctx, "node", e.ProTxHash.String()); err != nil {
		return nil, err
	}
	e.Signature = operator.Sign(e.SignHash()).Bytes()
	return e, nil
}

func ed25519File(flag, path string) (ed25519.PrivateKey, error) {
	read := config.ReadServiceKey
	if flag == stakerFlag {
		read = config.ReadStakerKey
	}
	key, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	return key, nil
}

func (s *signing) operatorFile() (bls.SecretKey, error) {
	key, err := config.ReadOperatorKey(s.operator)
	if err != nil {
		return key, fmt.Errorf("--%s: %w", operatorFlag, err)
	}
	return key, nil
}

func public(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

func signed(key ed25519.PrivateKey, hash wire.Hash) wire.ServiceSignature {
	return wire.ServiceSignature(ed25519.Sign(key, hash[:]))
}

// checkAddresses checks all that says where a node is reached.
func (s *signing) checkAddresses(least int) error {
	if n := len(s.addresses); n < least || n > wire.MaxAddresses {
		return fmt.Errorf("--%s: %d addresses, want %d to %d", addressFlag, n, least, wire.MaxAddresses)
	}
	for _, a := range s.addresses {
		if err := wire.CheckAddress(a); err != nil {
			return fmt.Errorf("--%s: %.140q: %w", addressFlag, a, err)
		}
		if _, err := multiaddr.NewMultiaddr(a); err != nil {
			return fmt.Errorf("--%s: %q is no multiaddress such as /ip4/203.0.113.7/tcp/19850: %w", addressFlag, a, err)
		}
	}
	if err := wire.CheckEndpoint(s.platform); err != nil {
		return fmt.Errorf("--%s: %w", platformFlag, err)
	}
	return nil
}

// genesis reads the genesis that the configuration names.
func (s *signing) genesis() (g chain.Genesis, err error) {
	conf, err := config.Load(s.path, config.Source{Environ: os.Environ()})
	if err != nil {
		return g, err
	}
	return readGenesis(conf)
}

// proTxHash is the node that --node names.
func (s *signing) proTxHash() (wire.Hash, error) {
	if h, err := wire.ParseHash(s.node); err == nil {
		return h, nil
	}
	g, err := s.genesis()
	if err != nil {
		return wire.Hash{}, err
	}
	i := slices.IndexFunc(g.Nodes, func(n chain.GenesisNode) bool { return n.Name == s.node })
	if i < 0 || s.node == "" {
		return wire.Hash{}, fmt.Errorf("--%s: %.80q is neither 64 hex digits nor the name of a node in the genesis", nodeFlag, s.node)
	}
	return g.Nodes[i].ProTxHash, nil
}

// head is the network and the number that the event carries.
func (s *signing) head(ctx context.Context, whose, which string) (wire.EventHead, error) {
	if s.sequence > 0 {
		g, err := s.genesis()
		return wire.EventHead{Network: g.Hash(), Sequence: uint64(s.sequence)}, err
	}
	var next node.NextEvent
	if err := ask(ctx, s.path, "event next", &next, whose, which); err != nil {
		return wire.EventHead{}, unanswered{err}
	}
	return wire.EventHead{Network: next.Network, Sequence: next.Sequence}, nil
}
