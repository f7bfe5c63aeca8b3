package Torture::Load;

# Copyright (C) the nginx gray module authors
#
# The load of util/torture and util/soak: backends, wrk, or a client in its
# place, and what it says at the end.

use strict;
use warnings;

use Exporter ();

use Test::Gray;
use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(backends load loaded);


# an nginx that nobody tortures

sub backends {
    my $backends = Test::Gray->new(level => 'notice')->config(<<'END')->start;
http {
    keepalive_requests 1000000000;
    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

    return map { $backends->port($_) } qw(v1 v2);
}


# wrk, with so many connections, of users that differ; undef where it is
# missing

sub load {
    my ($t, $connections, $seconds) = @_;

    return unless (capture('wrk', '-v'))[1] =~ /^wrk /;

    my $script = $t->write_file('wrk.lua', <<'END');
local n = 0
function request()
    n = n + 1
    return wrk.format("GET", "/?uid=" .. n % 100000)
end
END

    return $t->spawn('wrk', '-t1', "-c$connections", "-d$seconds", '-s',
                     $script, 'http://127.0.0.1:' . $t->port . '/');
}


# ends it; how many requests there were, what else it says, and how many were
# not answered as they should

sub loaded {
    my ($t, $load) = @_;

    my $alive = alive($load);

    kill 'INT', $load;
    wait_until(sub { $t->read_file("stderr.$load") =~ /^Transfer/m }, 10);
    $t->reap($load, 'INT');

    my $said = $t->read_file("stderr.$load");
    my ($requests) = $said =~ /^\s*(\d+) requests in/m;
    my ($errors) = $said =~ /^\s*(Socket errors: .*)/m;
    my ($failed) = $said =~ /Non-2xx or 3xx responses: (\d+)/;

    return ($alive, $requests || 0, $errors || 'no socket errors',
            $failed || 0);
}


1;
