#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A history of 16 MB: no request waits while it is read, its answer is that of
# the journal, byte for byte, and it takes no more memory than it may, whatever
# its readers do.

use strict;
use warnings;

use FindBin;
use List::Util  qw(max);
use POSIX       ();
use Test::More;
use Time::HiRes qw(time sleep);

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::HTTP;
use Test::Gray::Process;

my $slow = $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};
my $history = 18;

# by how many ms a request may take longer while others read

my $bound = 25;

my $t = Test::Gray->new->config(<<"END")->start;
worker_processes 1;

http {
    gray_zone gray 12m document=1m state=state history=$history;
    keepalive_requests 1000000;
    send_timeout 60s;

    gray_release app {
        zone gray;
        variant off;
        variant on weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /app { return 200 \$gray_app; }
        location /gray/ { gray_admin; client_max_body_size 8m; }
    }
}
END

my $path = '/gray/releases/app';
my ($worker) = $t->workers;


sub rss {
    my ($kb) = slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;

    return $kb / 1024;
}


# a sanitizer keeps what was freed for a while

my $before;

sub as_before { return $ENV{TEST_SANITIZER_LOG} || rss() < $before + 8 }


# what is to be answered, by the file

sub expected {
    my @lines = map { s/^\{"checksum":"[0-9a-f]{16}","layout":1,/{/r }
                split /\n/, $t->read_file('state/app.jsonl');

    @lines = @lines[-$history .. -1] if @lines > $history;

    return ("{\n  \"release\": \"app\",\n  \"revisions\": [\n    "
            . join(",\n    ", reverse @lines) . "\n  ]\n}\n", @lines);
}


# a connection on which that is asked for

sub reader {
    my ($what, $method, $body) = @_;

    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text(
        $method || 'GET', "$path/$what",
        [ 'Content-Type' => 'application/json' ], $body));

    return $connection;
}


# how long the requests of one client take, in ms, without the time for which
# others had the processor, until the code says that it is enough

sub delays {
    my ($enough) = @_;

    my $client = $t->http->connect;
    my @delays;

    $client->get('/app');

    until ($enough->()) {
        my @kept = map { kept_waiting($_) } $$, $worker;
        my $since = time;

        die "no answer\n" if $client->get('/app')->{status} != 200;

        my $took = time - $since;

        push @delays, 1000 * ($took - max(map { kept_waiting($_) - shift @kept }
                                          $$, $worker));
        sleep 0.0005;
    }

    return sort { $a <=> $b } @delays;
}


# the same while another process reads, which ends with 0 if it was given what
# it should

sub delays_while {
    my ($code) = @_;

    my $pid = fork;

    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        my $ok = eval { $code->() };

        print STDERR $@ if $@;
        POSIX::_exit($ok ? 0 : 1);
    }

    my $ended = 0;
    my @delays = delays(sub { return $ended = waitpid($pid, 1) == $pid });

    is($?, 0, 'and all is read');

    return @delays;
}


sub middle { return (sort { $a <=> $b } @_)[$#_ / 2] }


# -- 16 MB of them in a file of nearly twice as much

my $rule = { variant => 'on', when => { '$arg_x' => { in =>
             [ map { 'x' x 1000 . $_ } 1 .. 900 ] } } };
my $made = 0;

for my $round (1 .. 32) {
    $rule->{when}{'$arg_x'}{in}[0] = "round $round";
    $made++ if $t->api('PATCH', $path, { rules => [ $rule ] })->{status} == 200;
}

is($made, 32, '32 documents of 0.9 MB');
cmp_ok(-s $t->dir . '/state/app.jsonl', '>', 25e6, 'a file of 25 MB');

my ($whole, @lines) = expected();

cmp_ok(length $whole, '>', 16e6, 'of which the history is 16 MB');


# -- what is answered

my $answer = $t->get("$path/history");

is($answer->{status}, 200, 'the history');
ok($answer->{body} eq $whole, 'is that of the file, byte for byte');
is($t->request('HEAD', "$path/history")->{headers}{'content-length'},
   length $whole, 'HEAD: its length');

my @wrong = grep { $t->get("$path/history?revision=" . (34 - $_))->{body}
                   ne "$lines[-$_]\n" } 1 .. $history;

is("@wrong", '', 'each revision, byte for byte');

my $oldest = 34 - $history;

is($t->get("$path/history?revision=" . ($oldest - 1))->{status}, 404,
   'one that is in the file, and not in the history');
is($t->api('POST', "$path/revert?dry_run=1", { revision => $oldest - 1 })
     ->{json}{errors}[0]{detail},
   'no revision ' . ($oldest - 1) . " in the history, which goes from $oldest "
   . 'to 33', 'nor is there a way back to it');
is($t->api('POST', "$path/revert?dry_run=1", { revision => $oldest })
     ->{json}{rules}[0]{when}{'$arg_x'}{in}[0], 'round ' . ($oldest - 1),
   'but to the oldest');

# the conditions come first, as of all changes

is($t->api('POST', "$path/revert", { revision => 1 },
           'If-Match' => '"7"')->{status}, 412, 'If-Match');


# -- others do not wait

SKIP: {
    skip 'nginx is slow', 1 if $slow;

    my (%longest, %usual);

    # in turn, so that what else the machine does is the same to both

    for (1 .. 7) {
        my $began = time;
        my @with = delays_while(sub {
            my $connection = $t->http->connect;

            for (1 .. 3) {
                return 0 if $connection->get("$path/history")->{body}
                            ne $whole;
                return 0 if $connection->get("$path/history?revision=$oldest")
                              ->{status} != 200;
                return 0 if $connection->get("$path/history?revision=1")
                              ->{status} != 404;
            }

            return 1;
        });

        my $until = time + (time - $began);
        my @without = delays(sub { time > $until });

        push @{ $longest{with} }, $with[-1];
        push @{ $longest{without} }, $without[-1];
        push @{ $usual{with} }, middle(@with);
        push @{ $usual{without} }, middle(@without);
    }

    for my $name (qw(without with)) {
        note(sprintf '%s: the middle one %.2f ms, the longest %s ms', $name,
             middle(@{ $usual{$name} }),
             join(' ', map { sprintf '%.1f', $_ } @{ $longest{$name} }));
    }

    cmp_ok(middle(@{ $longest{with} }), '<',
           middle(@{ $longest{without} }) + $bound,
           'no request waits for those who read');
}


# -- readers that do not read, and those that go

$before = rss();
my @readers = map { reader('history') } 1 .. 12;
my @refused;

# of each its first bytes alone, whenever they come

wait_until(sub {
    for my $reader (@readers) {
        $reader->more if $reader->{buffer} eq ''
                         && IO::Select->new($reader->{socket})->can_read(0);
    }

    @refused = grep { $_->{buffer} =~ m{^HTTP/1.1 503} } @readers;
    @refused == 8 });

is(scalar @refused, 8, 'of 12 that do not read, 8 are refused');

my ($refused) = map { $_->receive } @refused;

is($refused->{headers}{'retry-after'}, 1, 'Retry-After');
like($refused->{body}, qr/"others read histories just now"/, 'and why');

SKIP: {
    skip('memory that was freed is kept', 1) if $ENV{TEST_SANITIZER_LOG};

    cmp_ok(rss() - $before, '<', 4 * length($whole) / 2 ** 20 + 8,
           'memory for four of them');
}

is($t->get('/app')->{status}, 200, 'requests are served');
is($t->get("$path/history?revision=$oldest")->{status}, 200,
   'one revision, meanwhile');
is($t->api('POST', "$path/revert?dry_run=1", { revision => $oldest })
     ->{status}, 200, 'a way back, too');

# who waits has it as soon as one of them goes

my $waiting = reader('history');

my ($held) = grep { my $r = $_; !grep { $_ == $r } @refused } @readers;

select undef, undef, undef, 0.3;
$held->{socket}->close;
ok($waiting->receive->{body} eq $whole, 'who waits is next');

undef $waiting;
undef $held;
@refused = ();
@readers = ();

ok(wait_until(sub { as_before() }), 'all of it is given back')
    or diag(rss() . " MB, $before MB before");

for my $what ('history', "history?revision=$oldest") {
    for (1 .. 20) {
        my $gone = reader($what);

        sleep 0.01 * rand;
        $gone->{socket}->close;
    }
}

# the last ones of them may still be read for

ok(wait_until(sub { $t->get("$path/history")->{body} eq $whole }),
   'after some that went');
ok(wait_until(sub { as_before() }), 'they leave nothing')
    or diag(rss() . " MB, $before MB before");

# what a change takes is the heap's, and not looked at here

for (1 .. 10) {
    my $gone = reader('revert?dry_run=1', 'POST', "{\"revision\":$oldest}");

    sleep 0.01 * rand;
    $gone->{socket}->close;
}

ok(wait_until(sub {
       $t->api('POST', "$path/revert?dry_run=1", { revision => $oldest })
         ->{status} == 200 }), 'a way back, after some that went');
is_deeply([ $t->workers ], [ $worker ], 'the worker is the same');


# -- a worker that shuts down

@readers = map { reader('history') } 1 .. 4;
push @readers, reader("history?revision=$oldest"),
     reader('revert?dry_run=1', 'POST', "{\"revision\":$oldest}");

# they were accepted

is($t->get('/app')->{status}, 200, 'six read');
ok($t->reload, 'a reload');

# a change may not be made by it any more

like(join(' ', map { $_->receive->{status} } @readers),
     qr/^200 200 200 200 200 (?:200|503)$/, 'all of them are answered');
ok(wait_until(sub { !alive($worker) }), 'and the worker ends');
@readers = ();


# -- a disk that is slow, and one that fails

SKIP: {
    skip 'make test FAILPOINTS=1', 1 unless has_failpoints();

    ($worker) = $t->workers;

    for my $what ([ 'history' ], [ "history?revision=$oldest" ],
                  [ 'revert?dry_run=1', 'POST', "{\"revision\":$oldest}" ])
    {
        my $title = $what->[0];

        arm($t, journal_read => 'sleep=1500 once');

        my $reader = reader(@$what);

        ok(wait_until(sub { fired($t, 'journal_read') }), "$title: waits");

        my $since = time;
        is($t->get('/app')->{status}, 200, 'others do not');
        cmp_ok(time - $since, '<', 0.5, 'at all');
        is($reader->receive->{status}, 200, 'it is answered');
        disarm($t);

        # who goes meanwhile

        arm($t, journal_read => 'sleep=700 once');
        $reader = reader(@$what);
        wait_until(sub { fired($t, 'journal_read') });
        $reader->{socket}->close;
        sleep 1;
        is($t->get('/app')->{status}, 200, 'and one that goes meanwhile');
        disarm($t);

        # it is cut meanwhile

        arm($t, journal_read => 'EAGAIN once');
        is(reader(@$what)->receive->{status}, 200, 'is tried again');
        ok(fired($t, 'journal_read'), 'after it was cut');
        disarm($t);

        arm($t, journal_read => 'EIO');
        $t->expect(qr/app\.jsonl" cannot be read/);

        my $failed = reader(@$what)->receive;

        is($failed->{status}, 503, 'it cannot be read');
        like($failed->{body}, qr/the journal of the release cannot be read/,
             'is said');
        disarm($t);
    }

    # a worker that is to end meanwhile

    arm($t, journal_read => 'sleep=1500 once');

    my $reader = reader('history');

    wait_until(sub { fired($t, 'journal_read') });
    ok($t->reload, 'a reload meanwhile');
    ok($reader->receive->{body} eq $whole, 'is answered');
    disarm($t);
    ok(wait_until(sub { !alive($worker) }), 'and the worker ends');
}

$t->done;
