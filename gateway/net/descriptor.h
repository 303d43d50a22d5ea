// What the kernel says of a connection that is only a descriptor so far. Each is a system call. Any thread.
#pragma once
#include <cstdint>

namespace penstock::net {

// Bytes, an end or an error wait to be read.
bool input_waits(int descriptor);
// For how many milliseconds its peer has sent nothing, from the connect on, before it was accepted too. 0:
// not known (unix sockets).
uint64_t quiet_ms(int descriptor);

}  // namespace penstock::net
