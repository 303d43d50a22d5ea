// What a gateway has counted, asked of its status listener, and events that are waited for by looking.
#pragma once
#include <string>

#include "e2e/harness/gateway.h"
#include "e2e/harness/waiting.h"

namespace e2e {

// `series` as /metrics writes it, labels included; a Failure when there is no such.
double metric(const Gateway& gateway, const std::string& series);
void await_metric(const Gateway& gateway, const std::string& series, double value);

// How often a limit was reached (penstock_limit_reached_total).
double reached(const Gateway& gateway, const std::string& limit);
void await_reached(const Gateway& gateway, const std::string& limit, double times);

template <class Done>
void await(const std::string& what, Done done) {
  auto until = Clock::now() + patience;
  while (!done())
    if (Clock::now() > until) throw Failure("did not happen: " + what);
}

}  // namespace e2e
