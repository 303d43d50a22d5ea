// WebSocket (RFC 6455), the backend's side: the handshake's answer and an echo of every frame.
#pragma once

#include <string>
#include <string_view>

#include "echo/request.h"

namespace echo {

bool is_websocket(const Request& request);
// Sec-WebSocket-Accept for a key, section 4.2.2.
std::string websocket_accept(std::string_view key);

enum class FrameResult { incomplete, echoed, closed };
// Takes one frame from `input` (adding its size to `consumed`) and appends the answer to `output`.
FrameResult echo_frame(std::string_view input, size_t& consumed, std::string& output);

}  // namespace echo
