#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Hooks of rollouts: what is posted, to whom, and in what order; receivers that
# are dead, slow, or answer otherwise; and processes that go while they post.

use strict;
use warnings;

use FindBin;
use JSON::PP    ();
use POSIX       ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Clock;
use Test::Gray::Process;
use Test::Gray::Running;

my $json = JSON::PP->new->utf8;
my $ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

# What a receiver does is what the file "do.NAME" says.  Each request is a line
# in the file "told.NAME", and what became of it one in "became.NAME".

my %acts = (
    ok     => sub { write_all($_[0], $ok) },
    fail   => sub { write_all($_[0], "HTTP/1.1 500 No\r\n\r\n") },
    away   => sub { write_all($_[0], "HTTP/1.1 302 Found\r\n"
                                     . "Location: /other\r\n\r\n") },
    close  => sub { },
    part   => sub { write_all($_[0], 'HTTP/1.1 20') },
    other  => sub { write_all($_[0], "SSH-2.0-OpenSSH_9.2\r\n") },
    never  => sub { write_all($_[0], "HTTP/1.1 100 Continue\r\n\r\n") },
    held   => sub { wait_until(sub { -e 'go' }, 60); write_all($_[0], $ok) },
    silent => sub { 1 while sysread $_[0], my $buffer, 4096 },

    hints  => sub {
        my ($socket) = @_;

        # in pieces, so that lines come in parts

        for my $piece ("HTTP/1.1 10", "3 Early Hints\r\nLink: </a>\r\n\r",
                       "\nHTTP/1.1 2", "04 No Content\r", "\n\r\n")
        {
            write_all($socket, $piece);
            Time::HiRes::sleep(0.01);
        }
    },

    flood  => sub {
        my ($socket) = @_;

        my $sent = 0;
        my $block = 'x' x 65_536;

        write_all($socket, "HTTP/1.1 200 OK\r\n"
                           . "Content-Length: 104857600\r\n\r\n");

        while ($sent < 104_857_600) {
            my $n = syswrite $socket, $block or last;
            $sent += $n;
        }

        return $sent;
    },
);

# these have a release each, whose first hook they are; the others are told of
# those, and do at first what they are called

my @releases = qw(plain failing dead rude slow flood hints gone lost);
my @others = qw(picky close part other away never);

my $t = Test::Gray->new;
my $clock = no_clock() ? undef : Test::Gray::Clock->new($t);

$t->daemon($_ => receiver($_))
    for @others, grep { !/^(?:dead|lost)$/ } @releases;
$t->config(text($t, 'worker_processes 1;'));

$clock ? $clock->start($t) : $t->start;

delivered();
failing();
dead();
rude();
slow();
flood();
hints();
changed();
leaving();
lost();
old();

$t->finish;

killed();
single();

Test::Gray::done();


sub text {
    my ($t, $processes, $zone) = @_;

    my $releases = join '', map { <<"END" } @releases;

    gray_release $_ {
        zone    gray;
        variant stable;
        variant canary;
    }
END

    my $dir = $t->dir;

    mkdir "$dir/state";
    chmod 0777, "$dir/state";

    return <<"END";
$processes

http {
    gray_zone gray @{[ $zone || '8m state=%%DIR%%/state' ]};
    variables_hash_max_size 4096;
$releases
    server {
        listen 127.0.0.1:%%PORT%%;

        location / { return 200 \$pid; }
        location /gray/ { gray_admin; }
    }
}
END
}


# -- receivers

sub receiver {
    my ($name) = @_;

    return Test::Gray::Backend::serve(sub {
        my ($socket) = @_;

        $SIG{PIPE} = 'IGNORE';

        my $head = Test::Gray::Backend::read_head($socket);
        my ($length) = $head =~ /^Content-Length: (\d+)\r$/m;
        my $body = Test::Gray::Backend::read_exactly($socket, $length);
        my $do = slurp("do.$name") || 'ok';

        append("told.$name", { at => Time::HiRes::time(), do => $do,
                               head => $head, body => $body });

        my $result = $acts{$do}->($socket);

        append("became.$name", { at => Time::HiRes::time(), do => $do,
                                 result => $result });
    });
}


sub write_all { return Test::Gray::Backend::write_all(@_) }


sub append {
    my ($file, $data) = @_;

    open my $fh, '>>', $file or die "$file: $!\n";
    syswrite $fh, $json->encode($data) . "\n";
    close $fh;

    return;
}


sub act { return $t->write_file("do.$_[0]", $_[1]) }


sub records {
    my ($file) = @_;

    return map { $json->decode($_) } grep { /\n\z/ } split /^/,
           $t->read_file($file);
}


# events, by "ID NAME" of each request, as soon as there are so many

sub told {
    my ($name, $count) = @_;

    my @records;

    wait_until(sub { $count <= (@records = records("told.$name")) }, 60)
        or diag("$name: " . @records . " of $count events");

    return map { my $event = $json->decode($_->{body});
                 "$event->{id} $event->{event}" } @records;
}


# -- rollouts

sub hook {
    my ($name, @on) = @_;

    my $host = $name eq 'picky' ? 'localhost' : '127.0.0.1';

    return { url => "http://$host:" . $t->port($name) . "/hook?of=$name",
             on => @on ? \@on : [ qw(started step pause resumed aborted) ] };
}


sub plan_for {
    my ($release, @hooks) = @_;

    my $response = $t->api('PATCH', "/gray/releases/$release",
        { rollout => { variant => 'canary', unit => 'request', guards => [],
                       steps => [ { weight => 5 }, { weight => 100 } ],
                       hold => '1h', max_hold => '2h', notify => \@hooks } });

    is($response->{status}, 200, "$release has a plan")
        or diag($response->{body});

    return;
}


sub action {
    my ($release, @actions) = @_;

    for (@actions) {
        my $response = $t->api('POST', "/gray/releases/$release/rollout/$_");

        is($response->{status}, 200, "$release: $_")
            or diag($response->{body});
    }

    return;
}


sub begun {
    my ($release) = @_;

    plan_for($release, hook($release));
    action($release, 'start');

    return;
}


# lines of the log that name a hook, so many as match

sub logged {
    my ($name, $regex) = @_;

    return scalar grep { m{/hook\?of=$name} && $_ =~ $regex }
                  split /^/, $t->log;
}


# -- what is tried

sub delivered {
    plan_for('plain', hook('plain'), hook('picky', 'pause', 'resumed'));
    action('plain', qw(start pause resume));

    is_deeply([ told('plain', 4) ],
              [ '1 started', '2 step', '3 pause', '4 resumed' ],
              'events come in order');
    is_deeply([ told('picky', 2) ], [ '3 pause', '4 resumed' ],
              'and only to who wants them');

    my ($first) = records('told.plain');
    my $port = $t->port('plain');
    my $length = length $first->{body};

    is($first->{head}, join("\r\n", 'POST /hook?of=plain HTTP/1.1',
                            "Host: 127.0.0.1:$port",
                            'User-Agent: nginx-gray',
                            'Connection: close',
                            'Content-Type: application/json',
                            "Content-Length: $length",
                            'X-Gray-Event-Id: 1', '', ''),
       'the request');

    my $rollout = $t->api('GET', '/gray/releases/plain/rollout')->{json};
    my @history = reverse @{ $rollout->{history} };

    is_deeply([ map { $json->decode($_->{body}) } records('told.plain') ],
              \@history, 'what is posted is what is listed');

    return;
}


# retries come later each time: 1, 2, 4 s, less a quarter at most

sub failing {
    act('failing', 'fail');
    begun('failing');

    told('failing', 3);
    act('failing', 'ok');

    wait_until(sub { (told('failing', 5))[-1] eq '2 step' });

    my @told = told('failing', 5);
    my @at = map { $_->{at} } records('told.failing');
    my $first = grep { $_ eq '1 started' } @told;

    ok($first >= 4, 'an event is posted until it is taken');
    is_deeply([ @told[$first .. $#told] ], [ '2 step' ],
              'and only then the next one');

    for (1 .. 3) {
        cmp_ok($at[$_] - $at[$_ - 1], '>=', 0.75 * 2 ** ($_ - 1) - 0.05,
               "a pause before retry $_");
    }

    is(logged('failing', qr/\[warn\].* not told of event 1: .*by 500/), 1,
       'the first failure is logged');
    is(logged('failing', qr/\[warn\]/), 1, 'and no other');
    is(logged('failing', qr/\[notice\].* told of event 1, after/), 1,
       'and so is the success');

    return;
}


# nobody listens

sub dead {
    begun('dead');

    ok($t->wait_log(qr/\[warn\].*of=dead was not told of event 1: .*\(111/),
       'a receiver that is down');

    $t->daemon(dead => receiver('dead'));

    is_deeply([ told('dead', 2) ], [ '1 started', '2 step' ],
              'is told once it is up');
    ok($t->wait_log(qr/\[notice\].*of=dead was told/), 'as the log says');
    is(logged('dead', qr/./), 2, 'by two lines in all');

    return;
}


# answers that are none

sub rude {
    my @names = qw(close part other away);

    act($_, $_) for @names;

    plan_for('rude', map { hook($_, 'started', 'step') } @names);
    action('rude', 'start');

    for my $name (@names) {
        told($name, 2);
        act($name, 'ok');
    }

    for my $name (@names) {
        wait_until(sub { (told($name, 2))[-1] eq '2 step' }, 60);

        my @told = told($name, 3);
        my $first = grep { $_ eq '1 started' } @told;

        ok($first >= 3 && $first == @told - 1,
           "$name: what is no answer delivers nothing, but one of 200 does")
            or diag("@told");
        is(logged($name, qr/\[warn\]/), 1, '... and is logged once');
    }

    return;
}


# no answer, or no end of it: the other hook, the worker, and the API do not
# wait for that

sub slow {
    my $before = () = records('told.picky');

    act('slow', 'silent');
    act('never', 'never');
    plan_for('slow', map { hook($_) } qw(slow never picky));
    action('slow', 'start', 'pause');

    my @told = told('picky', $before + 3);

    is_deeply([ @told[$before .. $#told] ],
              [ '1 started', '2 step', '3 pause' ],
              'another hook is told meanwhile');
    is($t->get('/')->{status}, 200, 'and nginx answers');
    ok($t->wait_log(qr/\[warn\].*of=slow was not told of event 1: it timed/),
       'the time is limited');

    my @over;

    wait_until(sub { @over = records('became.slow') });
    cmp_ok((records('told.picky'))[$before + 2]{at}, '<', $over[0]{at},
           'and was not over before');

    act('slow', 'ok');
    act('never', 'ok');

    for my $name (qw(slow never)) {
        wait_until(sub { (told($name, 1))[-1] eq '3 pause' }, 60);

        my @told = told($name, 4);

        is_deeply([ @told[-3 .. -1] ],
                  [ '1 started', '2 step', '3 pause' ],
                  "$name: all comes in the end");
    }

    is(logged('never', qr/\[warn\]/), 1, 'an interim answer is none');

    return;
}


# a long answer: its status counts, and little is read of the rest

sub flood {
    act('flood', 'flood');
    begun('flood');

    is_deeply([ told('flood', 2) ], [ '1 started', '2 step' ],
              'each event once');

    my @became;

    wait_until(sub { 2 <= (@became = records('became.flood')) });

    # what the buffers of two sockets may hold

    cmp_ok($_->{result}, '<', 32 * 1024 * 1024, 'the rest is not read')
        for @became;

    return;
}


sub hints {
    act('hints', 'hints');
    begun('hints');

    is_deeply([ told('hints', 2) ], [ '1 started', '2 step' ],
              'interim answers are passed over');
    is(logged('hints', qr/./), 0, 'without a line in the log');

    return;
}


# who comes later is told of what comes later

sub changed {
    plan_for('hints', hook('hints'), hook('gone'));

    wait_until(sub { $t->api('GET', '/gray/releases/hints/rollout')
                       ->{json}{state} eq 'paused' });

    action('hints', 'abort');
    told('hints', 4);

    wait_until(sub { (told('gone', 1))[-1] eq (told('hints', 4))[-1] });

    is((told('gone', 1))[-1], '4 aborted', 'a hook that was added');
    unlike(join(',', told('gone', 1)), qr/\b[12] /,
           'is not told of what was before');

    return;
}


# a worker that shuts down while it posts

sub leaving {
    my $before = () = records('told.gone');

    act('gone', 'silent');
    begun('gone');
    told('gone', $before + 1);

    my $running = Test::Gray::Running->new($t);
    my $since = $running->now;

    $t->reload(gone => 1);

    cmp_ok($running->now - $since, '<', 4 * $Test::Gray::Process::scale,
           'a worker that shuts down does not wait for an answer');
    is(logged('gone', qr/./), 0, 'which is no failure');

    my @told = told('gone', $before + 2);

    is($told[-1], '1 started', 'the next worker tells of it again');

    act('gone', 'ok');
    ok($t->wait_log(qr/\[notice\].*of=gone was told of event 1, after 1/),
       'until it is taken');
    wait_until(sub { (told('gone', 1))[-1] eq '2 step' });

    # until the end, for which nginx has to shut down as well

    act('gone', 'silent');
    action('gone', 'pause');

    wait_until(sub { (told('gone', 1))[-1] eq '3 pause' });

    return;
}


# more than is kept

sub lost {
    begun('lost');

    action('lost', qw(pause resume)) for 1 .. 10;

    # by one tick, or by two

    my $lost = sub {
        my ($n, $log) = (0, $t->log);

        $n += $1
            while $log =~ /\[error\].*: (\d+) events from number .*of=lost/g;

        return $n;
    };

    ok(wait_until(sub { $lost->() == 6 }), 'what is kept no more is lost');

    my $running = Test::Gray::Running->new($t);

    $t->daemon(lost => receiver('lost'));

    my @told = told('lost', 16);
    my @at = map { $_->{at} } records('told.lost');
    my $stood = $running->stood;

    is_deeply([ map { (split)[0] } @told ], [ 7 .. 22 ], 'the rest is not');
    is($lost->(), 6, 'and that is said once');

    # one a second would take 15

    cmp_ok($at[-1] - $at[0] - $stood, '<', 5 * $Test::Gray::Process::scale,
           'one follows the other at once');

    return;
}


sub old {
    SKIP: {
        skip no_clock(), 3 unless $clock;

        act('lost', 'fail');
        action('lost', 'pause');
        told('lost', 17);

        $clock->set(86_400 + 60);

        ok($t->wait_log(qr/\[error\].* event 23, "pause", .*of=lost/),
           'what is a day old is given up');

        act('lost', 'ok');
        action('lost', 'resume');

        wait_until(sub { (told('lost', 1))[-1] =~ /^24/ }, 90);

        is((told('lost', 1))[-1], '24 resumed', 'and the next one comes');
    }

    return;
}


# what one worker did not deliver another one does

sub killed {
    $t = Test::Gray->new;
    $t->daemon(gone => receiver('gone'));
    $t->config(text($t, 'worker_processes 2;'))->start;

    act('gone', 'silent');
    begun('gone');
    told('gone', 1);

    $t->kill_worker('KILL', $_) for $t->workers;

    act('gone', 'ok');
    wait_until(sub { (told('gone', 1))[-1] eq '2 step' }, 60);

    my @told = told('gone', 3);

    is_deeply([ @told[0, 1] ], [ ('1 started') x 2 ],
              'what a worker had under way comes again');
    is($told[-1], '2 step', 'and what follows once');

    # a fast end, with one under way

    act('gone', 'silent');
    action('gone', 'pause');
    wait_until(sub { (told('gone', 1))[-1] eq '3 pause' });

    $t->stop('TERM');

    act('gone', 'ok');
    $t->start;

    wait_until(sub { 2 <= grep { $_ eq '3 pause' } told('gone', 1) }, 60);

    is((told('gone', 1))[-1], '3 pause',
       'what was not delivered outlives a restart');

    # what was told, where nothing goes on that is kept from time to time

    act('gone', 'held');
    action('gone', 'abort');
    wait_until(sub { (told('gone', 1))[-1] eq '4 aborted' });

    my $file = $t->dir . '/state/gone.rollout';
    my $is = sub { join ' ', (Time::HiRes::stat $file)[1, 9] };
    my $was = $is->();

    $t->write_file('go', '');
    wait_until(sub { $is->() ne $was });

    # another worker may have posted it, too, while the first one waited

    wait_until(sub {
        return @{[ records('became.gone') ]} == @{[ records('told.gone') ]};
    });

    my $n = () = records('told.gone');

    $t->stop;
    $t->start;

    action('gone', 'start');

    wait_until(sub { (told('gone', 1))[-1] eq '6 step' });

    is(join(', ', (told('gone', $n + 2))[$n .. $n + 1]),
       '5 started, 6 step', 'and so does what was delivered');

    $t->finish;

    return;
}


# A process that is its own master, and reads its configuration again: what was
# under way is of the one before, and its zone may be gone.  (nginx does not
# serve any more then, but it lives; with threads, as a state directory has
# them, it does not end in peace.)

sub single {
    $t = Test::Gray->new;
    $t->daemon(gone => receiver('gone'));
    $t->config(text($t, 'master_process off;', '8m'));

    my $pid = $t->spawn($t->command('-c', $t->dir . '/nginx.conf'));

    $t->wait_port('');

    act('gone', 'held');
    begun('gone');
    told('gone', 1);

    $t->config(text($t, 'master_process off;', '16m'));
    kill 'HUP', $pid;
    ok($t->wait_log(qr/reconfiguring\n(?:.*\n)*?.*using the/), 'a reload');

    $t->write_file('go', '');
    ok(wait_until(sub { records('became.gone') }), 'of which nobody hears');

    kill 'QUIT', $pid;
    ok(wait_until(sub { waitpid $pid, POSIX::WNOHANG() }), 'nginx ends');
    is($?, 0, 'in peace');
    delete $t->{children}{$pid};

    return;
}
