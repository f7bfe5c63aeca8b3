#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# scrape.pl [--quick]
#
# What a scrape of 100 releases with three variants each costs, where there are
# counters of four workers: the CPU time of the worker that answers, the time
# until the last byte is there, and instructions, by callgrind.  Ends with
# status 1 where a bound is not met.
#
# --quick  fewer rounds, and no instructions
#
# HEAD is the same without the bytes on their way: what it costs to add up and
# to write the text.  The machine may have other things to do, which makes
# times longer and never shorter: they are those of the best round, and where
# that is not good enough there are more of them, later, for up to a minute.

use strict;
use warnings;

use File::Temp   ();
use Getopt::Long ();
use List::Util   qw(min);
use Time::HiRes  ();

use Bench::Nginx;
use Test::Gray::Process;


# the bounds, of the text without other names: ms, and millions

my %bound = (cpu => 5, instructions => 10);

my $releases = 100;
my $workers = 4;                # whose counters are added up
my @variants = qw(stable canary second);

my ($quick);

Getopt::Long::GetOptions('quick' => \$quick) && !@ARGV
    or die "usage: bench-scrape [--quick]\n";

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { exit(130) } for qw(INT TERM HUP);

my $rounds = $quick ? 10 : 40;
my $each = 5;                   # scrapes of a round
my $patience = 60;              # seconds, in which there may be more rounds

my $dir = File::Temp::tempdir('gray-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

my $openmetrics = 'Accept: application/openmetrics-text;version=1.0.0';

my @cases = (
    { name => 'text',             path => '/metrics' },
    { name => 'text, HEAD',       path => '/metrics', method => 'HEAD' },
    { name => 'OpenMetrics',      path => '/metrics',
      header => $openmetrics },
    { name => 'with ingress_nginx', path => '/alias' },
);

my $failed = 0;

times_of();
instructions() unless $quick;

exit($failed);


# -- CPU time, and time

sub times_of {
    my $nginx = nginx()->start;
    my $socket = $nginx->connect;

    fill($socket);

    for my $case (@cases) {
        $case->{bytes} = scrape($socket, $case);
    }

    my $until = time() + $patience;

    rounds($nginx, $socket);

    while (min(@{ $cases[0]{cpu} }) * 1000 > $bound{cpu} && time() < $until) {
        sleep 5;
        rounds($nginx, $socket);
    }

    my $resident = $nginx->memory('VmHWM');

    $nginx->stop;

    print "\nA scrape of $releases releases with ", scalar @variants,
          " variants and counters of $workers workers,\nin ms: the best of",
          ' ', scalar @{ $cases[0]{cpu} }, " rounds\n\n";
    row('', 'CPU time', 'until it is there', 'KB');

    for my $case (@cases) {
        row($case->{name}, ms(min(@{ $case->{cpu} })),
            ms(min(@{ $case->{time} })), int($case->{bytes} / 1024));
    }

    printf "\n  resident at most, one after the other: %d KB\n", $resident;

    bound('CPU time of a scrape, ms', min(@{ $cases[0]{cpu} }) * 1000,
          $bound{cpu});

    return;
}


sub rounds {
    my ($nginx, $socket) = @_;

    for (1 .. $rounds) {
        for my $case (@cases) {
            my ($cpu, $time) = ($nginx->cpu, Time::HiRes::time());

            scrape($socket, $case) for 1 .. $each;

            push @{ $case->{cpu} }, ($nginx->cpu - $cpu) / $each;
            push @{ $case->{time} }, (Time::HiRes::time() - $time) / $each;
        }

        push @cases, shift @cases;
    }

    push @cases, shift @cases until $cases[0]{name} eq 'text';

    return;
}


# each variant of each release gets requests, for three reasons

sub fill {
    my ($socket) = @_;

    for my $release (1 .. $releases) {
        ask($socket, 'GET', "/r$release?u=$_") for 1 .. 12;
        ask($socket, 'GET', "/r$release?v=$_") for @variants;
    }

    return;
}


# -- instructions

sub instructions {
    print "\nInstructions of a scrape, in millions\n\n";

    for my $case (@cases) {
        $case->{instructions} = count($case, $each) / 1e6;
        row($case->{name}, sprintf '%.2f', $case->{instructions});
    }

    bound('instructions of a scrape, millions', $cases[0]{instructions},
          $bound{instructions});

    return;
}


# of the function that answers, and all that it calls

sub count {
    my ($case, $n) = @_;

    my $nginx = nginx();
    my $file = "$nginx->{dir}/callgrind";

    $nginx->start('valgrind', '--tool=callgrind', '--collect-atstart=no',
                  '--toggle-collect=ngx_http_gray_metrics',
                  "--callgrind-out-file=$file");

    my $socket = $nginx->connect;

    fill($socket);
    scrape($socket, $case) for 1 .. $n;
    $nginx->stop;

    my ($total) = slurp($file) =~ /^(?:summary|totals): ([1-9]\d*)/m
        or die "no total in $file\n";

    return $total / $n;
}


# -- helpers

sub nginx {
    my $all = join "\n", map { release("r$_") } 1 .. $releases;
    my $module = $ENV{TEST_NGINX_MODULE};

    return Bench::Nginx->new($dir, {}, <<"END",
http {
    access_log off;
    keepalive_requests 1000000;

    gray_zone gray 64m;

    upstream app { server 127.0.0.1:%%PORT_app%%; keepalive 8; }

$all

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_app%%;

        location /metrics { gray_metrics; }
        location /alias   { gray_metrics ingress_nginx; }
        location /app     { return 200 app; }

        location ~ ^/(r[0-9]+)\$ {
            proxy_http_version  1.1;
            proxy_set_header    Connection "";
            proxy_pass          http://\$1/app;
        }
    }
}
END
        ports   => { '' => port(), app => port() },
        workers => $workers,
        modules => [ defined $module && length $module ? $module : () ]);
}


sub release {
    my ($name) = @_;

    my $text = "    gray_release $name {\n        zone gray;\n"
               . "        hash \$arg_u;\n";

    $text .= "        variant $_ app"
             . ($_ eq 'stable' ? '' : ' weight=33%') . ";\n"
             . "        match $_ \$arg_v = $_;\n" for @variants;

    return "$text    }";
}


# the bytes of an answer, all of which are read

sub scrape {
    my ($socket, $case) = @_;

    return ask($socket, $case->{method} || 'GET', $case->{path},
               $case->{header} || ());
}


sub ask {
    my ($socket, $method, $path, @headers) = @_;

    local $SIG{ALRM} = sub { die "no answer within 60 seconds\n" };
    alarm(60);

    my $request = join "\r\n", "$method $path HTTP/1.1", 'Host: localhost',
                  @headers, '', '';

    syswrite($socket, $request) == length $request
        or die "cannot send: $!\n";

    my $answer = '';

    until ($answer =~ /\r\n\r\n/) {
        sysread($socket, $answer, 65536, length $answer)
            or die "the connection was closed after:\n$answer\n";
    }

    my ($head) = $answer =~ /^(.*?\r\n\r\n)/s;

    $head =~ m{^HTTP/1\.1 200 .*^Content-Length: (\d+)\r$}msi
        or die "unexpected answer to $path:\n$head\n";

    my $length = $1;
    my $left = $method eq 'HEAD' ? 0 : $length - length($answer)
                                       + length $head;

    while ($left > 0) {
        my $n = sysread $socket, $answer, 262144
            or die "the connection was closed\n";
        $left -= $n;
    }

    alarm(0);

    return $length;
}


sub bound {
    my ($what, $is, $most) = @_;

    my $bad = $is > $most;

    printf "\n  %s: %.2f, at most %s are allowed: %s\n", $what, $is, $most,
           $bad ? 'NOT OK' : 'ok';
    $failed ||= $bad;

    return;
}


sub ms { return sprintf '%.2f', $_[0] * 1000 }


sub row {
    my ($label, @values) = @_;

    print '  ', sprintf('%-24s', $label),
          (map { sprintf '%20s', $_ } @values), "\n";
}
