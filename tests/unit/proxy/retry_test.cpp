#include "proxy/retry.h"

#include <doctest/doctest.h>

using namespace penstock;
using namespace penstock::proxy;
using http::Method;

namespace {
AttemptEnd broken(ErrorKind kind = ErrorKind::reset) {
  AttemptEnd end;
  end.request_bytes_sent = true;
  end.error = {kind, ErrorSource::upstream, Retry::no, {}, {}};
  return end;
}
}  // namespace

TEST_CASE("a request of which no byte left goes elsewhere whatever its method") {
  AttemptEnd end = broken(ErrorKind::refused);
  end.request_bytes_sent = false;
  for (Method method : {Method::get, Method::post, Method::patch, Method::delete_})
    CHECK(judge({}, method, end) == RetryVerdict::free);
  config::Retries rule;
  rule.on_connect = false;
  CHECK(judge(rule, Method::get, end) == RetryVerdict::no);
}

TEST_CASE("a stale reused connection is retried for repeatable methods alone") {
  AttemptEnd end = broken();
  end.reused_connection = true;
  for (Method method :
       {Method::get, Method::head, Method::put, Method::delete_, Method::options, Method::trace})
    CHECK(judge({}, method, end) == RetryVerdict::free);
  for (Method method : {Method::post, Method::patch}) CHECK(judge({}, method, end) == RetryVerdict::no);
  config::Retries unsafe;
  unsafe.unsafe = config::Retries::Unsafe::allowed;
  CHECK(judge(unsafe, Method::post, end) == RetryVerdict::free);
}

TEST_CASE("a session that TLS ended is retried like a connection that was reset") {
  CHECK(judge({}, Method::get, broken(ErrorKind::tls)) == RetryVerdict::elsewhere);
  CHECK(judge({}, Method::post, broken(ErrorKind::tls)) == RetryVerdict::no);
}

TEST_CASE("never after a response byte, a forwarded 1xx, a body that is gone, or the client's own fault") {
  AttemptEnd end = broken();
  CHECK(judge({}, Method::get, end) == RetryVerdict::elsewhere);
  end.response_bytes_received = true;
  CHECK(judge({}, Method::get, end) == RetryVerdict::no);
  end = broken();
  end.informational_forwarded = true;
  CHECK(judge({}, Method::get, end) == RetryVerdict::no);
  end = broken();
  end.body_held = false;
  CHECK(judge({}, Method::put, end) == RetryVerdict::no);
  end = broken();
  end.error.source = ErrorSource::downstream;
  CHECK(judge({}, Method::get, end) == RetryVerdict::no);
  CHECK(judge({}, Method::get, broken(ErrorKind::protocol)) == RetryVerdict::no);
}

TEST_CASE("timeouts and statuses follow the rule") {
  CHECK(judge({}, Method::get, broken(ErrorKind::timeout)) == RetryVerdict::elsewhere);
  CHECK(judge({}, Method::post, broken(ErrorKind::timeout)) == RetryVerdict::no);
  config::Retries rule;
  rule.on_timeout = rule.on_reset = false;
  CHECK(judge(rule, Method::get, broken(ErrorKind::timeout)) == RetryVerdict::no);
  CHECK(judge(rule, Method::get, broken()) == RetryVerdict::no);
  AttemptEnd answered = broken();
  answered.response_bytes_received = answered.status = true;
  CHECK(judge({}, Method::get, answered) == RetryVerdict::elsewhere);
  CHECK(judge({}, Method::post, answered) == RetryVerdict::no);
}

TEST_CASE("the budget is a share of ten seconds over all workers, with a floor of ten a second") {
  RetryBudget budget(2);
  uint64_t now = 1'000'000;
  int taken = 0;
  while (taken < 1000 && budget.take(static_cast<uint32_t>(taken % 2), now, 0.2)) ++taken;
  CHECK(taken == 100);
  for (int i = 0; i < 3000; ++i) budget.count_request(static_cast<uint32_t>(i % 2), now);
  while (taken < 2000 && budget.take(0, now, 0.2)) ++taken;
  CHECK(taken == 600);
  now += 10'000;  // all of it is forgotten
  CHECK(budget.take(0, now, 0.2));
}
