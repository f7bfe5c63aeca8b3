#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# device, judged by what others expect: the npm packages user-agents (which
# says the device of browsers that were seen) and crawler-user-agents (bots).
# One half of them, by their MD5, was looked at while the table was written;
# the figures that count are those of the other half.
#
# The packages are not ours to pass on: npm gets them, as it is set up on this
# machine, into build/devices, where they stay.  GRAY_DEVICES=1 prints the
# table, as "make devices" does.

use strict;
use warnings;

use Digest::MD5 qw(md5);
use File::Path qw(make_path remove_tree);
use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $dir = "$FindBin::Bin/../build/devices";

my %file = (
    'user-agents'         => 'dist/user-agents.json',
    'crawler-user-agents' => 'crawler-user-agents.json',
);

# percent of the other half that have to be right: a little less than were,
# as the packages are brought up to date by others

my %least = (bot => 97, tablet => 80, mobile => 99, desktop => 97);

my @classes = qw(bot tablet mobile desktop);

plan(skip_all => 'needs npm') unless grep { -x "$_/npm" }
                                     split /:/, $ENV{PATH};

my $bots = package_of('crawler-user-agents');
my $browsers = package_of('user-agents');


sub package_of {
    my ($name) = @_;

    my $path = "$dir/$name/package/$file{$name}";

    if (!-e $path) {
        my $new = "$dir/$name.$$";
        make_path($new);

        my ($status, $out) = capture('npm', 'pack', '--silent',
            '--fetch-retries=0', '--fetch-timeout=20000',
            '--pack-destination', $new, $name);

        my ($archive) = glob "$new/*.tgz";

        if ($status || !$archive
            || (capture('tar', 'xzf', $archive, '-C', $new))[0])
        {
            remove_tree($new);
            plan(skip_all => "npm does not get the package $name");
        }

        rename $new, "$dir/$name" or remove_tree($new);
    }

    plan(skip_all => "the package $name has no $file{$name}")
        unless -e $path;

    return decode_json(slurp($path));
}


# [ User-Agent, device ] of each half; where one was seen as several devices,
# it is the one that was seen most

my %seen;

$seen{ $_->{userAgent} }{ $_->{deviceCategory} } += $_->{weight}
    for @$browsers;

my %device = map {
    my $of = $seen{$_};
    ($_ => (sort { $of->{$b} <=> $of->{$a} || $a cmp $b } keys %$of)[0]);
} keys %seen;

$device{$_} = 'bot' for map { @{ $_->{instances} || [] } } @$bots;

my @half = ([], []);

for my $agent (sort keys %device) {
    utf8::encode(my $bytes = $agent);

    next if $bytes =~ /[\0\r\n]/ || $bytes =~ /\A\s|\s\z/
            || !grep { $_ eq $device{$agent} } @classes;

    push @{ $half[ord(substr md5($bytes), -1) & 1] },
         [ $bytes, $device{$agent} ];
}


my $t = Test::Gray->new->config(<<'END')->start;
http {
    gray_zone  gray 1m;

    gray_release kind {
        zone     gray;
        variant  none;
        variant  bot;
        variant  tablet;
        variant  mobile;
        variant  desktop;
        match    bot device = bot;
        match    tablet device = tablet;
        match    mobile device = mobile;
        match    desktop device = desktop;
    }

    large_client_header_buffers  4 64k;

    server {
        listen  127.0.0.1:%%PORT%%;
        return  200 $gray_kind;
    }
}
END

# the confusion table of a half: $table->{expected}{found}

sub table {
    my ($half) = @_;

    my %table;

    my @found = $t->many(scalar @$half, sub {
        return ('/', 'User-Agent' => $half->[ $_[0] ][0]);
    });

    for my $i (0 .. $#found) {
        $table{ $half->[$i][1] }{ $found[$i]{body} }++;
    }

    return \%table;
}

sub percent {
    my ($table, $class) = @_;

    my $all = 0;
    $all += $_ for values %{ $table->{$class} };

    return $all ? 100 * ($table->{$class}{$class} || 0) / $all : undef;
}

sub lines {
    my ($title, $table) = @_;

    my $text = sprintf "%-24s %8s %8s %8s %8s  right\n", $title,
               map { "as $_" } @classes;

    for my $class (@classes) {
        my $percent = percent($table, $class);

        $text .= sprintf "%-24s %8d %8d %8d %8d  %s\n", $class,
                 (map { $table->{$class}{$_} || 0 } @classes),
                 defined $percent ? sprintf('%.1f%%', $percent) : '-';
    }

    return $text;
}

my @tables = map { table($_) } @half;
my $text = "\n" . lines('the half that was seen', $tables[0])
           . "\n" . lines('the other half', $tables[1]);

$ENV{GRAY_DEVICES} ? diag($text) : note($text);

for my $class (@classes) {
    cmp_ok(percent($tables[1], $class), '>=', $least{$class},
           "$class: percent of the other half");
}

$t->done;
