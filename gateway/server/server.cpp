#include "server/server.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "server/console.h"

namespace penstock::server {
namespace {

// How long an idle keep-alive connection lives on once nobody is let in: a request that is under way to us is
// still answered, and the client learns with it that the connection ends.
constexpr uint32_t idle_grace_ms = 1'000;

// How long /readyz waits for discovery's first answers: two tries of a resolver.
constexpr uint64_t first_answers_ms = 10'000;

uint32_t ms(config::Duration duration) { return static_cast<uint32_t>(duration.count()); }

}  // namespace

Server::Server(std::string configuration_path)
    : configuration_path_(std::move(configuration_path)),
      plugins_{.shipped_folder = shipped_plugins_folder(), .main = &loop_, .names = {}, .host = nullptr},
      leaving_timer_(
          loop_,
          [](void* self) {
            auto& server = *static_cast<Server*>(self);
            server.leaving_.clear();
            server.reload_if_asked();
          },
          this),
      drain_timer_(loop_, [](void* self) { static_cast<Server*>(self)->on_drain_timer(); }, this) {}

Server::~Server() = default;

ExitCode Server::run() {
  std::signal(SIGPIPE, SIG_IGN);  // a write to a closed connection is an error there, not the end of us
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  signals_.emplace(loop_, std::vector<int>{SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1},
                   [this](int number) { on_signal(number); });
  if (ExitCode code = start(); code != ExitCode::good) return code;
  loop_.serve();
  return exit_code_;
}

void Server::on_signal(int number) {
  if (number == SIGHUP) return reload();
  if (number == SIGUSR1) {
    if (plugins_.host) plugins_.host->notify(plugin::Event::reopen_logs);
    return;
  }
  switch (state_) {
    case State::serving:
      // Ctrl-C at a terminal: no load balancer has to be told first.
      return drain(number == SIGINT && !readiness_was_asked_ ? Urgency::impatient : Urgency::patient);
    case State::starting:
    case State::draining:
    case State::closing: say("stopping at once"); return end();
    case State::ending: ::_exit(static_cast<int>(exit_code_));
  }
}

void Server::drain(Urgency urgency) {
  const config::Drain& drain = snapshot_->config->drain;
  uint32_t accept_for = urgency == Urgency::impatient ? 0 : ms(drain.accept_for);
  state_ = State::draining;
  say("draining: accepting for " + std::to_string(accept_for) + " ms, then up to " +
      std::to_string(ms(drain.timeout)) + " ms for what is under way");
  plugins_.host->notify(plugin::Event::drain);
  for (auto& worker : workers_) worker->set_draining();
  if (accept_for == 0) return stop_accepting();
  drain_timer_.start(accept_for);
}

void Server::on_drain_timer() {
  if (state_ == State::draining) return stop_accepting();
  if (state_ == State::closing) {
    say("drain.timeout is over: closing what is left");
    end();
  }
}

void Server::stop_accepting() {
  state_ = State::closing;
  sockets_.clear();  // each worker empties its queue and closes its own
  busy_ = workers_.size();
  for (auto& worker : workers_)
    worker->stop_accepting(idle_grace_ms, [this] {
      if (--busy_ == 0 && state_ == State::closing) end();
    });
  drain_timer_.start(ms(snapshot_->config->drain.timeout));
}

void Server::end() {
  state_ = State::ending;
  drain_timer_.stop();
  if (hook_watch_) hook_watch_->stop();  // it reads what belongs to the workers' threads
  running_ = workers_.size();
  for (auto& worker : workers_) worker->stop([this] { worker_ended(); });
}

void Server::worker_ended() {
  if (--running_ > 0) return;
  for (auto& worker : workers_) worker->join();
  rollout_.reset();
  status_.reset();
  admin_.reset();
  // From here on a further signal changes nothing, instead of making the exit code its own.
  signals_.reset();
  for (int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) std::signal(number, SIG_IGN);
  plugins_.host->fetches().stop();
  directory_.reset();
  health_checks_.reset();
  certificates_.reset();
  say("stopped");
  loop_.stop();
}

bool Server::ready() {
  readiness_was_asked_ = true;
  if (state_ != State::serving) return false;
  // Not before discovery has found every backend once; a name that nobody can resolve must not keep a gateway
  // out of service for ever.
  if (!backends_known_)
    backends_known_ = directory_->unresolved() == 0 || loop_.now_ms() - serving_since_ms_ > first_answers_ms;
  return backends_known_;
}

}  // namespace penstock::server
