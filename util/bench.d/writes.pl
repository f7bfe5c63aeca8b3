#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# writes.pl [--quick] [--dir=DIR]
#
# What writes by the admin API cost, beside each other in one run: a durable
# one beside fdatasync(), those that are not durable on one core, a start with
# many journals, and what traffic and an idle nginx notice.  Ends with status 1
# where a bound is not met.
#
# --quick    fewer rounds, and no traffic
# --dir=DIR  on the disk that is to be measured, in place of that of /tmp
#
# The machine may have other things to do, which make single times longer and
# never shorter.  So what is compared takes turns, and medians are compared,
# of the round in which they are least.

use strict;
use warnings;

use Fcntl       ();
use File::Copy  ();
use File::Temp  ();
use Getopt::Long ();
use List::Util  qw(max min sum);
use POSIX       ();
use Time::HiRes ();

use Bench::Cases;
use Bench::Client;
use Bench::Nginx;
use Test::Gray::Process;

require 'syscall.ph';


# the bounds

my %bound = (
    durable => 1.5,             # times an fdatasync() of the same bytes
    plain   => 500,             # writes a second on one core
    start   => 1,               # s, with journals
    traffic => 1.1,             # times the p99 without writes
    idle    => 10,              # ms of CPU time a second
);

my $slow = 2000;                # us more that a slow disk takes
my $releases = 1000;
my $revisions = 32;

my ($quick, $place);

Getopt::Long::GetOptions('quick' => \$quick, 'dir=s' => \$place)
    && !@ARGV
    or die "usage: bench-writes [--quick] [--dir=DIR]\n";

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit(130) } for qw(INT TERM HUP);

my $dir = File::Temp::tempdir('gray-bench-XXXXXX', CLEANUP => 1,
                              $place ? (DIR => $place) : (TMPDIR => 1));
chmod 0755, $dir;

my $owner = $$;
my $failed = 0;
my $turn = 0;
my $writer;

durable();
plain();
starts();
traffic() unless $quick;
idle();

exit($failed);


# -- a durable write

sub durable {
    my $rounds = $quick ? 3 : 9;

    print "\nA durable write, in ms: medians of the quietest of $rounds",
          " rounds\n\n";
    row('', 'this disk', sprintf('%g ms slower', $slow / 1000));

    my %disk = map { $_ => disk($_, $rounds) } 0, $slow;
    my @disks = @disk{0, $slow};

    row('the call, with state',    map { sprintf '%.3f', $_->{state} } @disks);
    row('the call, without',       map { sprintf '%.3f', $_->{plain} } @disks);
    row('what the state adds',     map { sprintf '%.3f', $_->{added} } @disks);
    row('fdatasync()',             map { sprintf '%.3f', $_->{sync} } @disks);
    row('a call that does nothing', map { sprintf '%.3f', $_->{nothing} }
                                    @disks);
    row('the call : fdatasync()',  map { sprintf '%.2f', $_->{state}
                                                         / $_->{sync} }
                                   @disks);
    row('what is added : fdatasync()', map { sprintf '%.2f', $_->{added}
                                                             / $_->{sync} }
                                   @disks);

    print "\n";

    for (['this disk', $disk{0}], ['a slower one', $disk{$slow}]) {
        my ($label, $disk) = @$_;

        bound("what durability adds, on $label, in fdatasync()s",
              $disk->{added} / $disk->{sync}, '<=', $bound{durable});
    }

    bound('the whole call, on a slower one',
          $disk{$slow}{state} / $disk{$slow}{sync}, '<=', $bound{durable});

    # what is not fdatasync() does not grow with it

    my $rest = $disk{0}{state} - $disk{0}{sync};

    printf "  The whole call takes %.3f ms beside fdatasync(): at most %g"
           . " times that\n  where it takes %.2f ms or more; here it takes"
           . " %.3f, so %.2f times.\n", $rest, $bound{durable},
           $rest / ($bound{durable} - 1), $disk{0}{sync},
           $disk{0}{state} / $disk{0}{sync};
}


# medians of a quiet round, with a disk that takes so many us more

sub disk {
    my ($us, $rounds) = @_;

    my @wrapper = $us ? ('env', 'LD_PRELOAD=' . slow(),
                         "GRAY_FSYNC_SLOW=$us") : ();

    my $state = nginx('state=%%DIR%%/state history=1000')->start(@wrapper);
    my $plain = nginx('')->start;

    my %client = (state => Bench::Client->new($state->connect),
                  plain => Bench::Client->new($plain->connect));

    write_to($_, 11) for values %client;

    # of the same bytes

    my $line = (split /^/, slurp("$state->{dir}/state/r1.jsonl"))[-1];

    open my $file, '>>', "$state->{dir}/state/reference"
        or die "$state->{dir}/state/reference: $!\n";

    my @rounds;

    for (1 .. $rounds) {
        my (%times, %round);

        for (1 .. ($us ? 100 : 300)) {
            my $weight = 10 + $_ % 2;

            push @{ $times{nothing} }, ms(sub {
                $client{state}->ask(request('/nothing'));
            });

            for my $name (qw(state plain)) {
                push @{ $times{$name} }, ms(sub {
                    write_to($client{$name}, $weight);
                });
            }

            push @{ $times{sync} }, ms(sub {
                syswrite($file, $line) == length $line or die "write: $!\n";
                Time::HiRes::usleep($us) if $us;
                syscall(&SYS_fdatasync, fileno $file) == 0
                    or die "fdatasync: $!\n";
            });

            push @{ $times{added} }, $times{state}[-1] - $times{plain}[-1];
        }

        $round{$_} = median(@{ $times{$_} }) for keys %times;

        push @rounds, \%round;
    }

    close $file;

    my $writes = revision($client{state}, 'r1');
    die "$writes revisions\n" if $writes < $rounds * ($us ? 100 : 300);

    $_->stop for $state, $plain;

    return (sort { $a->{state} + $a->{sync} <=> $b->{state} + $b->{sync} }
                 @rounds)[0];
}


# the library that makes the disk slower

sub slow {
    my $so = "$dir/fsync_slow.so";

    unless (-e $so) {
        my ($status, $out, $err) = capture('cc', '-shared', '-fPIC', '-o', $so,
                                           'util/bench.d/fsync_slow.c',
                                           '-ldl');
        die "cc: $out$err\n" if $status;
    }

    return $so;
}


# -- writes that are not durable

sub plain {
    my $rounds = $quick ? 3 : 9;
    my $before = cores();
    my ($core) = $before =~ /^(\d+)/;
    my @rates;

    # nginx and its client, whose time counts, too

    cores($core);

    my $nginx = nginx('')->start;
    my $client = Bench::Client->new($nginx->connect);
    my $n = 500;
    my $first = revision($client, 'r1');

    for (1 .. $rounds) {
        my $ms = ms(sub { write_to($client) for 1 .. $n });

        push @rates, 1000 * $n / $ms;
    }

    my $writes = revision($client, 'r1') - $first;
    die "$writes writes\n" if $writes != $n * $rounds;

    $nginx->stop;
    cores($before);

    print "\nWrites without state, nginx and the client on one core, of",
          " $rounds rounds\n\n";
    row('', 'best', 'median', 'worst');
    row('writes a second', map { grouped($_) }
                           max(@rates), median(@rates), min(@rates));

    print "\n";
    bound('writes a second', median(@rates), '>=', $bound{plain});
}


# the cores that this process and those that it starts may use

sub cores {
    my ($list) = @_;

    my ($status, $out, $err) = capture('taskset', '-c', '-p',
                                       defined $list ? $list : (), $$);

    $status == 0 && $out =~ /: (\S+)\n\z/ or die "taskset: $out$err\n";

    return $1;
}


# -- start

sub starts {
    my $rounds = $quick ? 3 : 7;

    my %nginx = map { $_ => nginx($_ eq 'none' ? '' : 'state=%%DIR%%/state',
                                  releases => $releases) }
                    qw(none fresh journals);

    my $journal = journal();
    my %times;

    for (1 .. $rounds) {
        for my $name (qw(none fresh journals)) {
            my $nginx = $nginx{$name};
            my $state = "$nginx->{dir}/state";

            unlink glob("$state/*"), "$state/.lock", "$state/.lists.lock";

            if ($name eq 'journals') {
                -d $state || mkdir $state, 0700 or die "$state: $!\n";

                for my $n (1 .. $releases) {
                    File::Copy::copy($journal, "$state/r$n.jsonl")
                        or die "$state/r$n.jsonl: $!\n";
                }
            }

            push @{ $times{$name}{test} }, ms(sub {
                my $why = $nginx->refused;
                die "nginx -t: $why\n" if defined $why;
            });

            push @{ $times{$name}{start} }, ms(sub {
                $nginx->start;
                Bench::Client->new($nginx->connect)->ask(request('/nothing'));
            });

            # all of them are there, and are what is served

            my $client = Bench::Client->new($nginx->connect);
            my $revision = $name eq 'journals' ? $revisions : 1;

            for my $n (1, $releases) {
                revision($client, "r$n") == $revision
                    or die "release r$n is not of revision $revision\n";
            }

            $nginx->stop;
        }
    }

    printf "\nStart with %s releases, until the first answer, in ms: median"
           . " of %d rounds\n\n", grouped($releases), $rounds;
    row('', 'nginx -t', 'start', 'best');

    for (['without state', 'none'], ['with an empty directory', 'fresh'],
         ["with $revisions revisions each", 'journals'])
    {
        my ($label, $name) = @$_;

        row($label, map { grouped($_) } median(@{ $times{$name}{test} }),
                                        median(@{ $times{$name}{start} }),
                                        min(@{ $times{$name}{start} }));
    }

    print "\n";
    bound('seconds to start with journals',
          median(@{ $times{journals}{start} }) / 1000, '<=', $bound{start});
}


# of a release, which ends as it was declared

sub journal {
    my $nginx = nginx("state=%%DIR%%/state history=$revisions")->start;
    my $client = Bench::Client->new($nginx->connect);
    my $file = "$nginx->{dir}/state/r1.jsonl";

    # a long way round, to what is declared

    write_to($client, $_) for map { $_ == $revisions ? 20 : 20 + $_ % 2 + 1 }
                                  2 .. $revisions;

    $nginx->stop;

    my $lines = () = slurp($file) =~ /\n/g;
    die "$lines revisions in the journal\n" if $lines != $revisions;

    return $file;
}


sub revision {
    my ($client, $name) = @_;

    my ($revision) = $client->ask(request("/gray/releases/$name"))
                     =~ /"revision": (\d+)/
        or die "no revision of release $name\n";

    return $revision;
}


# -- traffic

sub traffic {
    my $rounds = 16;
    my $seconds = 3;

    # else a percent of the requests would be those that other programs delay

    my $alone = scheduled('-r', 1);

    my %ports = map { $_ => port() } qw(v1 v2);
    my $backend = Bench::Nginx->new($dir, { %ports, '' => $ports{v1} },
                                    backend_text())->start;

    my $nginx = nginx('state=%%DIR%%/state', workers => 4, ports => \%ports)
                ->start;

    my $client = Bench::Client->new($nginx->connect);
    my (%rounds, $writes);

    for my $round (1 .. $rounds) {

        # nobody is always the first

        for my $with ($round % 2 ? (0, 1) : (1, 0)) {
            my $before = revision($client, 'r1');
            writes($nginx) if $with;

            my $busy = busy();
            my ($half, $most) = wrk($nginx->port_of, $seconds);

            $busy = busy() - $busy;

            if ($with) {
                stop_writes();
                $writes += revision($client, 'r1') - $before;
            }

            push @{ $rounds{$with} }, [ $busy, $half / 1000, $most / 1000 ];
        }
    }

    $_->stop for $nginx, $backend;
    scheduled('-o', 0);

    my $rate = $writes / $rounds / $seconds;
    my %times;

    die "only $rate writes a second\n" if $rate < 45;

    # what all of the machine did says which rounds are good ones

    for my $with (0, 1) {
        my @quiet = (sort { $a->[0] <=> $b->[0] } @{ $rounds{$with} })
                    [0 .. $rounds / 2 - 1];

        $times{$with}{half} = [ map { $_->[1] } @quiet ];
        $times{$with}{most} = [ map { $_->[2] } @quiet ];
    }

    printf "\nTraffic, 4 workers and 64 connections, in ms: medians of the"
           . " quieter half\nof %d rounds each, %d s\n\n",
           $rounds, $seconds;

    print "  (without real-time scheduling, which takes root: as good as the",
          " machine is idle)\n\n" unless $alone;

    row('', 'p50', 'p99', 'best p99', 'worst p99');

    for (['without writes', 0],
         [sprintf('with %.0f durable ones a second', $rate), 1])
    {
        my ($label, $with) = @$_;
        my ($half, $most) = @{ $times{$with} }{qw(half most)};

        row($label, map { sprintf '%.3f', $_ }
                    median(@$half), median(@$most), min(@$most), max(@$most));
    }

    print "\n";
    bound('p99 with writes : p99 without',
          median(@{ $times{1}{most} }) / median(@{ $times{0}{most} }), '<=',
          $bound{traffic});
}


# ticks that were used so far, of all processors

sub busy {
    my @ticks = slurp('/proc/stat') =~ /^cpu +(\d+) (\d+) (\d+) \d+ \d+ (.*)$/m
        or die "no \"cpu\" in /proc/stat\n";

    my ($irq, $soft, $steal) = split ' ', pop @ticks;

    return sum(@ticks, $irq, $soft, $steal);
}


# how this process and those that it starts are scheduled; 1 if it may be so

sub scheduled {
    my ($status) = capture('chrt', $_[0], '-p', $_[1], $$);

    return $status == 0;
}


# the median and the 99th percentile, in us

sub wrk {
    my ($port, $seconds) = @_;

    my $script = "$dir/wrk.lua";

    unless (-e $script) {
        open my $fh, '>', $script or die "$script: $!\n";
        print {$fh} <<'END';
local users = 0

function delay()
    return math.random(20, 60)
end

function request()
    users = users + 1
    return wrk.format(nil, nil, { Cookie = "uid=" .. users })
end

function done(summary, latency, requests)
    local errors = summary.errors

    print("p", latency:percentile(50), latency:percentile(99),
          errors.connect + errors.read + errors.write + errors.status
          + errors.timeout)
end
END
        close $fh or die "$script: $!\n";
    }

    my ($status, $out, $err) = capture('wrk', '-t1', '-c64', "-d${seconds}s",
                                       '-s', $script,
                                       "http://127.0.0.1:$port/");

    $status == 0 && $out =~ /^p\s+([\d.]+)\s+([\d.]+)\s+0$/m
        or die "wrk: $out$err\n";

    return ($1, $2);
}


# 50 a second, until stop_writes()

sub writes {
    my ($nginx) = @_;

    my $client = Bench::Client->new($nginx->connect);

    $writer = fork();
    die "fork: $!\n" unless defined $writer;

    return if $writer;

    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);

    my $next = Time::HiRes::time();

    while (getppid() == $owner) {
        # 503, where others kept the lock for too long

        unless (eval { write_to($client); 1 }) {
            print STDERR $@;
            $client = Bench::Client->new($nginx->connect);
        }

        $next += 0.02;
        Time::HiRes::sleep(max(0, $next - Time::HiRes::time()));
    }

    POSIX::_exit(0);
}


sub stop_writes {
    kill 'TERM', $writer;
    waitpid $writer, 0;

    die "the writer ended with $?\n" if $? != POSIX::SIGTERM();

    undef $writer;
}


# -- an idle nginx

sub idle {
    my $seconds = $quick ? 5 : 10;

    my %nginx = (
        without => nginx('', releases => $releases, workers => 4),
        with    => nginx('state=%%DIR%%/state', releases => $releases,
                         workers => 4)
    );

    $_->start for values %nginx;
    sleep 2;

    my %cost;

    for (1 .. $seconds) {
        my %before = map { $_ => cpu($nginx{$_}) } keys %nginx;
        my $ms = ms(sub { sleep 1 });

        push @{ $cost{$_} }, (cpu($nginx{$_}) - $before{$_}) / $ms * 1000
            for keys %nginx;
    }

    $_->stop for values %nginx;

    printf "\nAn idle nginx with %s releases, 4 workers: CPU time of all in ms"
           . " a second,\nof %d seconds\n\n", grouped($releases), $seconds;
    row('', 'least', 'median', 'most');

    for (['without state', 'without'], ['with state', 'with']) {
        my ($label, $name) = @$_;
        my $cost = $cost{$name};

        row($label, map { sprintf '%.2f', $_ }
                    min(@$cost), median(@$cost), max(@$cost));
    }

    print "\n";
    bound('ms a second with state', median(@{ $cost{with} }), '<=',
          $bound{idle});
}


# ms of CPU time so far, of all threads of the workers

sub cpu {
    my ($nginx) = @_;

    my @threads = map { glob "/proc/$_/task/*" } children_of($nginx->{pid});

    return sum(map { (split ' ', slurp("$_/schedstat"))[0] } @threads) / 1e6;
}


# -- helpers

# releases r1, r2, ..., and the API

sub nginx {
    my ($state, %option) = @_;

    my $n = $option{releases} || 1;
    my $size = 1 + int(0.14 * $n);

    # many are about their journals, not about memory for counters

    my $stats = $n > 1 ? 'stats=off' : '';
    my $names = join "\n", map { release_text("r$_", "        salt bench;\n") }
                               1 .. $n;

    my %ports = $option{ports} ? %{ $option{ports} }
                               : (map { $_ => port() } qw(v1 v2));

    my $text = case_text({
        pass   => 'http://r1',
        http   => "    gray_zone gray ${size}m $state $stats;\n\n$names",
        server => <<'END'
        location = /nothing {
            return 200 "nothing\n";
        }

        location /gray {
            gray_admin;
        }

END
    });

    return Bench::Nginx->new($dir, \%ports, $text,
                             modules => [ $ENV{TEST_NGINX_MODULE} || () ],
                             master  => 1,
                             workers => $option{workers} || 1);
}


# each write changes something

sub write_to {
    my ($client, $weight) = @_;

    $weight = 10 + $turn++ % 2 unless defined $weight;

    my $body = qq({"variants":{"canary":{"weight":$weight}}});

    return $client->ask("PATCH /gray/releases/r1 HTTP/1.1\r\n"
                        . "Host: localhost\r\n"
                        . "Content-Type: application/merge-patch+json\r\n"
                        . 'Content-Length: ' . length($body) . "\r\n"
                        . "\r\n$body");
}


sub ms {
    my ($code) = @_;

    my $start = Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
    $code->();

    return 1000 * (Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC())
                   - $start);
}


sub median {
    my @sorted = sort { $a <=> $b } @_;

    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}


sub bound {
    my ($label, $value, $how, $bound) = @_;

    my $met = $how eq '<=' ? $value <= $bound : $value >= $bound;

    printf "  %s: %s, %s %s: %s\n", $label,
           $value < 100 ? sprintf('%.2f', $value) : grouped($value),
           $how eq '<=' ? 'at most' : 'at least', $bound,
           $met ? 'ok' : 'NOT OK';

    $failed = 1 unless $met;
}


sub grouped {
    my $text = sprintf '%.0f', $_[0];

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;

    return $text;
}


sub row {
    my ($label, @values) = @_;

    print '  ', sprintf('%-32s', $label),
          (map { sprintf '%14s', $_ } @values), "\n";
}


END {
    if ($writer && $$ == $owner) {
        my $status = $?;

        kill 'TERM', $writer;
        waitpid $writer, 0;

        $? = $status;
    }
}
