// Package dkg lets the members of a long-living quorum make its key: who is a
// member, what a member sends in which phase, what it takes from others, and
// how the result is judged by those who were not there. It follows DIP-0006 and
// Dash Core (spec/dash.md sections 4 to 6).
//
// A Session keeps the messages it was given, at most two of a kind from each
// member, and derives everything else from that set when a phase begins. So it
// comes to the same result whatever the order of delivery, and a session that
// is given the same messages again after a restart goes on where it was.
package dkg
