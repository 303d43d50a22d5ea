// How failure travels: Result<T> is a value or an Error. No exceptions on the data path. An Error says what
// happened, on which side, and whether another attempt is allowed; retry and status are decided from it in
// one place (proxy/).
#pragma once
#include <cstdint>
#include <expected>
#include <string_view>

#include "base/limit.h"

namespace penstock {

enum class ErrorKind : uint8_t {
  closed,
  reset,
  refused,
  timeout,
  protocol,
  limit,
  tls,
  unresolved,
  cancelled,
  system
};
enum class ErrorSource : uint8_t { downstream, upstream, internal };
// no: the peer may have acted on the request; yes: no byte of it left; if_reused: only when the connection
// was reused.
enum class Retry : uint8_t { no, yes, if_reused };

// What a peer says that it resets a stream for (HTTP/2's codes). unsaid: it was none, or it is not told.
enum class ResetCause : uint8_t { unsaid, refused, cancelled, overloaded, insecure, other };

struct Error {
  ErrorKind kind = ErrorKind::system;
  ErrorSource source = ErrorSource::internal;
  Retry retry = Retry::no;
  std::string_view reason;    // static text, base/reason.h
  std::string_view text;      // static text for the daemon's log
  Limit limit = Limit::none;  // the one that struck, for the counter
  ResetCause reset = ResetCause::unsaid;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace penstock
