#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# count.pl [--seed=N] [--connections=N] [--workers=N] [--no-kill] [--no-reload]
#          [--keep] [--verbose]
#
# REQUESTS (1000000), of mixed statuses, by many connections through a release
# of two variants, whose upstreams, in an nginx of their own that nobody kills,
# log each request that they answer.  A tenth of these in peace, two tenths
# while nginx is reloaded, and then with workers that are killed, too, old ones
# among them; all the time the metrics are scraped.  Where TIME is given, each
# part ends when its share of these seconds is over.  Ends with status 1 unless
#
# - without kills, what is counted is what was logged, and what was answered,
#   for each variant and class;
# - with kills, nothing is counted that was not logged, and for each variant
#   what was logged and is not counted is not more than its requests on
#   connections that died with a worker: one on each, at most;
# - a worker that was killed has made half of the additions for a request at
#   most;
# - no counter is less than before in any scrape, requests under way are never
#   more than there are connections, and none at the end.
#
# --seed   what is killed, and when
# --keep   the directories stay

use strict;
use warnings;

use Getopt::Long ();
use POSIX        ();

my (%option, $requests, $seconds);

BEGIN {
    $requests = $ENV{REQUESTS} || 1000000;
    $seconds = $ENV{TIME} || 86400;

    %option = (connections => 64, workers => 4, kill => 1, reload => 1);

    Getopt::Long::GetOptions(\%option, 'seed=i', 'connections=i', 'workers=i',
                             'kill!', 'reload!', 'keep', 'verbose')
        && !@ARGV && "$requests $seconds" =~ /^\d+ \d+$/
        or die "usage: REQUESTS=N util/count [--seed=N] [--no-...]\n";

    $ENV{TEST_TIME_LIMIT} = 600 + $requests / 500;
    $ENV{TEST_VERBOSE} = 1 if $option{keep};
}

use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;

use Count::Load;
use Count::Scraper;

$| = 1;

# seconds between what happens, on average

my %every = (kill => 0.25, reload => 1);

my @variants = qw(stable canary);
# one of 200 takes a fifth of a second, so that all kills meet some

my @paths = ((map { [ "/$_", $_ ] } (200, 404, 200, 302, 200, 500) x 33),
             [ '/200', 200 ], [ '/slow', 200 ]);
my @classes = qw(2xx 3xx 4xx 5xx);

my $seed = defined $option{seed} ? $option{seed} : time % 100000;

srand($seed);


# -- what runs

# A connection that is kept is never closed by it, and what it logs is written
# at once.  "slow" is sent in two parts.

my $long = 'x' x 2200;
my $servers = join '', map { <<"END" } @variants;
    server {
        listen      127.0.0.1:%%PORT_$_%%;
        access_log  %%DIR%%/$_.log code;
        add_header  X-Variant $_ always;

        location /200  { return 200 $_; }
        location /302  { return 302 /; }
        location /404  { return 404; }
        location /500  { return 500; }
        location /slow { return 200 $long; limit_rate 2000; }
    }
END

my $upstreams = Test::Gray->new(level => 'notice')->config(<<"END");
http {
    keepalive_requests  1000000000;
    keepalive_timeout   1d;
    log_format          code \$status;

    $servers
}
END

$upstreams->start;

my ($stable, $canary) = map { $upstreams->port($_) } @variants;

my $t = Test::Gray->new(level => 'notice')->config(<<"END");
worker_processes $option{workers};

http {
    gray_zone gray 1m;

    keepalive_requests  2000;
    keepalive_timeout   1d;
    proxy_http_version  1.1;
    proxy_set_header    Connection "";

    upstream v1 { server 127.0.0.1:$stable; keepalive 64; }
    upstream v2 { server 127.0.0.1:$canary; keepalive 64; }

    gray_release app {
        zone     gray;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=40%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location / {
            proxy_pass  http://app;
            add_header  X-Pid \$pid always;
        }

        location = /metrics { gray_metrics; }
    }
}
END

# what nginx says where its workers are killed

$t->expect(
    qr/^worker process \d+ exited on signal 9/,
    qr/^sendmsg\(\) failed \((?:9|32|104|111): /,
    qr/^kill\(\d+, \d+\) failed \(3: No such process\)/,
);

$t->start;

my $load = Count::Load->new(
    port => $t->port, connections => $option{connections}, paths => \@paths,
    worker => 'X-Pid', variant => 'X-Variant');

printf "count: %d requests, %d connections, %d workers, --seed=%d, nginx %s\n",
       $requests, @option{qw(connections workers)}, $seed, $t->version;

my $scraper = Count::Scraper->start($t, '/metrics', $option{connections});

my (%did, @problems);

part('in peace', 0.1);
part('reloads', 0.2, 'reload') if $option{reload};
part(join(', ', $option{reload} ? 'reloads' : (), 'kills'), 0.7,
     $option{reload} ? 'reload' : (), 'kill') if $option{kill};

my $found = $scraper->end;


# -- what is found

problem($_) for @{ $load->{problems} }, @{ $found->{problems} };
problem('no scrape was answered') unless $found->{scrapes};

for (@{ $found->{high} }) {
    my ($from, $to, $n) = @$_;

    # what a worker has that is killed meanwhile may have been added up already

    my $bound = $option{connections} + $load->deaths($from, $to);

    problem("$n requests under way, of $bound at most") if $n > $bound;
}

my $metrics = settle();
my $left = total($metrics, 'nginx_gray_live_requests');

problem("$left requests are under way at the end") if $left;

printf "%d scrapes, %d without an answer; %d requests under way at most\n",
       @$found{qw(scrapes failed most)};
printf "%d connections; %d requests were sent again\n",
       @$load{qw(opened again)};

$t->stop;
problem($_) for Test::Gray::problems();

printf "%d violations, --seed=%d\n", scalar @problems, $seed;
print map { "$_\n" } @problems > 20 ? @problems[0 .. 19] : @problems;

exit(@problems ? 1 : 0);


# so many of the requests, while that is done; then the sums

sub part {
    my ($name, $share, @what) = @_;

    my %does = map { $_ => 1 } @what;
    my $began = now();
    my $next = $began + rand 2 * $every{reload};
    my $killer = $does{kill} ? start_killer() : undef;

    $load->run($share * $requests, $share * $seconds, sub {
        killed($killer) if $killer;

        if ($does{reload} && now() > $next) {
            reload();
            $next = now() + rand 2 * $every{reload};
        }
    })
    or problem("$name: requests have no end");

    my $took = now() - $began;

    end_killer($killer) if $killer;

    # nobody is on the way, to a worker or out

    wait_until(sub { reloaded() }) or problem("$name: nginx has not reloaded");

    printf "%s: %d requests, %.0f s%s\n", $name, $load->{sent}, $took,
           join '', map { ", $did{$_} ${_}s" }
                    grep { $did{$_} } sort keys %did;

    sums($name);

    return;
}


# a process of its own, so that a kill may come at any moment; it is told first

sub start_killer {
    pipe my $told, my $tell or die "pipe: $!\n";

    my $pid = $t->child(sub {
        my $over = 0;

        $SIG{USR1} = sub { $over = 1 };
        srand($seed);

        until ($over) {
            select undef, undef, undef, rand 2 * $every{kill};

            my @workers = grep { command_line($_) =~ /^nginx: worker process/ }
                          children_of($t->master);

            next if $over || !@workers;

            my $victim = $workers[rand @workers];

            syswrite $tell, "$victim " . now() . "\n";
            kill 'KILL', $victim;
        }

        POSIX::_exit(0);
    });

    $told->blocking(0);

    return { pid => $pid, told => $told, text => '' };
}


sub killed {
    my ($killer) = @_;

    sysread $killer->{told}, $killer->{text}, 4096, length $killer->{text};

    while ($killer->{text} =~ s/^(\d+) (\S+)\n//) {
        print "kill $1\n" if $option{verbose};

        $load->killed($1, $2);
        $did{kill}++;
    }

    return;
}


sub end_killer {
    my ($killer) = @_;

    kill 'USR1', $killer->{pid};
    wait_until(sub { !alive($killer->{pid}) });
    $t->reap($killer->{pid});
    killed($killer);

    return;
}


my $mark;


# not while another one is on its way

sub reload {
    return unless reloaded();

    $mark = $t->{log}->mark;
    kill 'HUP', $t->master;
    $did{reload}++;

    return;
}


# its workers have begun; some may be dead already

sub reloaded {
    return 1 unless defined $mark;
    return 0 if $t->{log}->started($mark) < $option{workers};

    undef $mark;
    return 1;
}


# Once nothing changes any more, as requests are counted and logged a moment
# after they were answered, and slow ones are logged without a client, too.

sub settle {
    my ($metrics, $before);

    wait_until(sub {
        $metrics = eval { scrape($t, '/metrics') } or return 0;

        my $now = join ' ', total($metrics, 'nginx_gray_live_requests'),
                  map { total($metrics, 'nginx_gray_requests_total',
                              variant => $_), -s $upstreams->dir . "/$_.log" }
                  @variants;
        my $same = defined $before && $now eq $before;

        $before = $now;
        select undef, undef, undef, 0.5 unless $same;

        return $same && $now =~ /^0 /;
    });

    return $metrics;
}


# { VARIANT => { CLASS => N } }

sub logged {
    my %logged;

    for my $variant (@variants) {
        open my $in, '<', $upstreams->dir . "/$variant.log" or die "$!\n";

        $logged{$variant}{ class(substr $_, 0, 3) }++ while <$in>;
    }

    return \%logged;
}


sub class { return substr($_[0], 0, 1) . 'xx' }


sub sums {
    my ($name) = @_;

    my $metrics = settle();
    my $logged = logged();
    my %answered;

    for my $variant (@variants) {
        my $of = $load->{answered}{$variant};

        $answered{$variant}{ class($_) } += $of->{$_} for keys %$of;
    }

    printf "    %-8s %-5s %9s %9s %9s %10s %9s\n", qw(variant code answered
           logged counted difference in-flight);

    my $uncounted = 0;
    my $sent = $load->{again};

    for my $variant (@variants) {
        my ($difference, %sum) = (0);

        for my $class (@classes) {
            my %n = (
                answered => $answered{$variant}{$class} || 0,
                logged   => $logged->{$variant}{$class} || 0,
                counted  => total($metrics, 'nginx_gray_requests_total',
                                  variant => $variant, code => $class) || 0,
            );

            $n{missing} = $n{logged} - $n{counted};
            $sum{$_} += $n{$_} for keys %n;
            $uncounted += $n{answered} - $n{counted}
                if $n{answered} > $n{counted};

            printf "    %-8s %-5s %9d %9d %9d %10d\n", $variant, $class,
                   @n{qw(answered logged counted missing)};

            problem("$name: $variant $class: $n{counted} are counted, and "
                    . "$n{logged} were logged") if $n{missing} < 0;
            problem("$name: $variant $class: $n{answered} were answered, and "
                    . "$n{logged} logged") if $n{answered} > $n{logged};
            problem("$name: $variant $class: $n{answered} were answered, and "
                    . "$n{counted} are counted")
                if !$did{kill} && $n{answered} != $n{counted};
        }

        my $lost = ($load->{lost}{$variant} || 0)
                   + ($load->{last}{$variant} || 0);

        printf "    %-8s %-5s %9d %9d %9d %10d %9d\n", $variant, 'all',
               @sum{qw(answered logged counted missing)}, $lost;

        $sent += $sum{answered} + ($load->{lost}{$variant} || 0);

        problem("$name: $variant: $sum{missing} of those that were logged are "
                . "not counted, and $lost were in flight")
            if $sum{missing} > $lost;

        additions($name, $metrics, $variant, $sum{counted});
    }

    problem("$name: $load->{sent} were sent, and of $sent is known what came "
            . 'of them') if $sent != $load->{sent};

    # that was between the last byte of an answer and its counting

    my $kills = $did{kill} || 0;

    print "    $uncounted were answered and are not counted, of $kills at "
          . "most\n";

    problem("$name: $uncounted of those that were answered are not counted")
        if $uncounted > $kills;

    return;
}


# the other numbers of the same requests

sub additions {
    my ($name, $metrics, $variant, $counted) = @_;

    for my $of (qw(response_header request_duration)) {
        my $n = total($metrics, "nginx_gray_${of}_seconds_count",
                      variant => $variant);

        problem("$name: $variant: $counted requests, and $n in $of")
            if $n > $counted || $counted - $n > ($did{kill} || 0);
    }

    for my $of (qw(requests_absent upstream_failures fallbacks streams)) {
        my $n = total($metrics, "nginx_gray_${of}_total",
                      variant => $variant);

        problem("$name: $variant: $n $of") if $n;
    }

    my $all = total($metrics, 'nginx_gray_requests_total',
                    variant => $variant);

    problem("$name: $variant: " . ($all - $counted) . ' of other codes')
        if $all != $counted;

    return;
}


sub problem {
    my ($text) = @_;

    chomp $text;
    push @problems, $text;

    return;
}


sub now { return Count::Load::now() }
