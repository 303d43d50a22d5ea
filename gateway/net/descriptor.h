// What the kernel says of descriptors, and of a connection that is only one so far. Each is a system call.
// Any thread.
#pragma once
#include <cstdint>

namespace penstock::net {

// Bytes, an end or an error wait to be read.
bool input_waits(int descriptor);
// For how many milliseconds its peer has sent nothing, from the connect on, before it was accepted too. 0:
// not known (unix sockets).
uint32_t quiet_ms(int descriptor);
// Descriptors have the lowest number that is free, so their number says how many there are. Those from this
// one on, the last eighth (at most 256), are for connections to backends, logs and reloads.
int descriptor_mark();

}  // namespace penstock::net
